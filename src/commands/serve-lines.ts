import type { RecoveryEvent, WorkerState } from '../recovery/types.js';
import type { Line } from '../report/narrate.js';
import { plural, printable } from '../util/text.js';

/** Of one stretch of time so many events are told one by one; the others are summed up at its end. */
const toldSingly = 5;
/** Names in such a sum. */
const named = 3;
/** Characters of a reason: a worker may give a whole traceback. */
const longestReason = 200;

type Failed = Extract<RecoveryEvent, { type: 'failed' }>;
type MaxFailuresOf = (workerId: string) => number;

/** Who is not told of singly, and how often it happened to them all together. */
interface Untold {
  readonly ids: Set<string>;
  times: number;
}

const none = (): Record<'failed' | 'recovered', Untold> => ({
  failed: { ids: new Set(), times: 0 },
  recovered: { ids: new Set(), times: 0 },
});

/** How long such a stretch is, ms. */
export const stretchMs = 5000;

/**
 * Says what happens to workers, without a line for each of ten thousand that fail in the same instant. Time is the
 * caller's: `add` begins a stretch where none is under way, `flush` ends it after {@link stretchMs}.
 */
export class WorkerLines {
  private readonly maxFailuresOf: MaxFailuresOf;
  private readonly stopped = new Set<string>();
  private told = 0;
  private untold = none();

  /** @param maxFailuresOf how often a worker may fail before it is told to stop; nobody is, unless given */
  constructor(maxFailuresOf: MaxFailuresOf = () => Infinity) {
    this.maxFailuresOf = maxFailuresOf;
  }

  /** @returns what is said at once */
  add(event: RecoveryEvent): readonly Line[] {
    const stopsAnother = this.stopsAnother(event);
    const line = lineOf(event, this.maxFailuresOf);
    if (!line) return [];
    if (stopsAnother) return [line];
    if (this.told < toldSingly || event.type === 'monitoring') {
      this.told++;
      return [line];
    }
    if (event.type === 'failed' || event.type === 'recovered') {
      const untold = this.untold[event.type];
      untold.ids.add(event.worker.workerId);
      untold.times++;
    }
    return [];
  }

  /** Whether a worker is told to stop from now on: then a person has to act, so that stands in no sum. */
  private stopsAnother(event: RecoveryEvent): boolean {
    if (event.type === 'recovered' || event.type === 'unregistered')
      this.stopped.delete(event.worker.workerId);
    if (event.type !== 'failed' || !isBeyond(event.worker, this.maxFailuresOf)) return false;
    const { size } = this.stopped;
    return this.stopped.add(event.worker.workerId).size > size;
  }

  /** @returns the rest of the stretch, summed up */
  flush(): readonly Line[] {
    const { failed, recovered } = this.untold;
    this.told = 0;
    this.untold = none();
    return [
      ...(failed.times > 0 ? [{ tone: 'failure', text: sum(failed, 'failed') } as const] : []),
      ...(recovered.times > 0 ? [{ tone: 'done', text: sum(recovered, 'came back') } as const] : []),
    ];
  }
}

/** Undefined: nobody is kept awake by it. */
function lineOf(event: RecoveryEvent, maxFailuresOf: MaxFailuresOf): Line | undefined {
  switch (event.type) {
    case 'failed':
      return { tone: 'failure', text: failureText(event, maxFailuresOf) };
    case 'recovered':
      return { tone: 'done', text: `worker ${event.worker.workerId} came back` };
    case 'monitoring':
      return event.monitoring
        ? { tone: 'note', text: 'monitoring is on' }
        : { tone: 'warning', text: 'monitoring was stopped: silent workers are not noticed, and all are told to stop' }; // prettier-ignore
    case 'registered':
    case 'unregistered':
    case 'active':
    case 'checkpoint':
      return undefined;
  }
}

function failureText({ worker, reason }: Failed, maxFailuresOf: MaxFailuresOf): string {
  const { workerId, failureCount, currentBatch } = worker;
  // 0 is also where none was named
  const where = currentBatch > 0 ? ` at batch ${currentBatch}` : '';
  const stop = isBeyond(worker, maxFailuresOf)
    ? `; it is told to stop: it failed more than ${plural(maxFailuresOf(workerId), 'time')} (to let it go on DELETE /v1/workers/${workerId} and register it again, or raise the limit: --max-failures, or maxFailures of its own)`
    : '';
  return `worker ${workerId} failed${where} (its ${plural(failureCount, 'failure')} so far): ${inOneLine(reason)}${stop}`;
}

const isBeyond = ({ workerId, failureCount }: WorkerState, maxFailuresOf: MaxFailuresOf): boolean =>
  failureCount > maxFailuresOf(workerId);

/** What others wrote, as it may go to a terminal. */
function inOneLine(text: string): string {
  const cut = text.length > longestReason ? `${text.slice(0, longestReason)}…` : text;
  return printable(cut.trim());
}

function sum({ ids, times }: Untold, what: string): string {
  const shown = [...ids].slice(0, named).join(', ');
  const rest = ids.size > named ? ` and ${plural(ids.size - named, 'other')}` : '';
  const said =
    ids.size === times
      ? `${plural(times, 'more worker')} ${what}`
      : `${plural(ids.size, 'worker')} ${what} ${plural(times, 'more time')}`;
  return `${said}: ${shown}${rest}`;
}
