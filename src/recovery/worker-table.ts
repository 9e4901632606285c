import type { Remembered, WorkerChange, WorkerTimes } from './ports.js';
import { Silences } from './silences.js';
import { TimerWheel } from './timer-wheel.js';
import type {
  Beat,
  BeatAnswer,
  RecoveryEvent,
  SavedCheckpoint,
  WorkerBeat,
  WorkerState,
  WorkerStatus,
} from './types.js';
import { tickMs, WatchTime } from './watch-time.js';
import { formatDuration } from '../util/duration.js';

/** When something happens: ms since 1970, and ms of a clock that does not go back. */
export interface Now {
  readonly at: number;
  readonly mono: number;
}

/** What came of a call: what to tell, and what to remember before it is told. */
export interface Outcome {
  readonly events: readonly RecoveryEvent[];
  readonly changes: readonly WorkerChange[];
}

interface Entry {
  readonly worker: WorkerState;
  /** Those that it brought. The others are the table's, which may have others in its next life. */
  readonly limits: Partial<WorkerTimes>;
}

/** Where a heartbeat leads from each status. */
const afterBeat = { active: 'active', failed: 'recovered', recovered: 'active' } as const satisfies Record<
  WorkerStatus,
  WorkerStatus
>;

const nothing: Outcome = { events: [], changes: [] };

/**
 * The workers, and the one place that decides what becomes of them. Synchronous, without a clock and without I/O: time
 * comes in, and what is to be told and remembered goes out.
 */
export class WorkerTable {
  readonly #defaults: WorkerTimes;
  readonly #patient: boolean;
  readonly #entries = new Map<string, Entry>();
  readonly #wheel = new TimerWheel(tickMs);
  readonly #silences = new Silences();
  readonly #time: WatchTime;
  #watch: 'not-begun' | 'on' | 'stopped' = 'not-begun';

  /**
   * @param defaults limits of a worker that brings none of its own
   * @param remembered what an earlier table held; each of its workers gets a whole timeout from `mono` on
   * @param patient nobody fails too often
   */
  constructor(defaults: WorkerTimes, remembered?: Remembered, mono = 0, patient = false) {
    this.#defaults = defaults;
    this.#patient = patient;
    this.#time = new WatchTime(mono);
    if (!remembered) return;
    for (const { worker, limits } of remembered.workers) this.#put(worker, limits);
    if (remembered.monitoring) this.#watchAll(mono);
    else this.#watch = 'stopped';
  }

  get monitoring(): boolean {
    return this.#watch === 'on';
  }

  get(id: string): WorkerState | undefined {
    return this.#entries.get(id)?.worker;
  }

  /** How often it may fail and still go on; Infinity: nobody is told to stop for that. */
  maxFailuresOf(id: string): number {
    return this.#mostFailures(this.#entries.get(id)?.limits ?? {});
  }

  /** In the order of their registration. */
  list(): WorkerState[] {
    return Array.from(this.#entries.values(), ({ worker }) => worker);
  }

  /**
   * A worker that is new, or came back.
   * @param limits those of its own; one left out stays as it was, or is the default
   */
  register(
    id: string,
    beat: Beat,
    limits: Partial<WorkerTimes>,
    lastCheckpoint: string | null,
    now: Now,
  ): Outcome & { readonly worker: WorkerState } {
    const known = this.#entries.get(id);
    const own = { ...known?.limits, ...limits };
    const returns = known?.worker.status === 'failed' && !this.#isBeyond({ ...known, limits: own });
    const { worker, changes } = this.#put(
      {
        workerId: id,
        status: returns ? 'recovered' : (known?.worker.status ?? 'active'),
        lastCheckpoint,
        failureCount: known?.worker.failureCount ?? 0,
        lastHeartbeat: now.at,
        currentBatch: beat.currentBatch ?? known?.worker.currentBatch ?? 0,
      },
      own,
    );
    if (worker.status !== 'failed') this.#expect(id, own, now.mono);
    const events: RecoveryEvent[] = [{ type: 'registered', at: now.at, worker }];
    if (returns) events.push({ type: 'recovered', at: now.at, worker });
    return { worker, changes, events };
  }

  /** A heartbeat that is answered with "stop" still says when the worker was heard and where it is, but nothing more. */
  beat(id: string, beat: Beat, now: Now): Outcome & { readonly answer: BeatAnswer } {
    const known = this.#excused(id, beat, now);
    if (!known) return { ...nothing, answer: { workerId: id, shouldContinue: false, status: null } };
    const shouldContinue = this.#watch !== 'stopped' && !this.#isBeyond(known);
    const before = known.worker.status;
    const status = shouldContinue ? afterBeat[before] : before;
    const { worker, changes } = this.#put(
      {
        ...known.worker,
        status,
        lastHeartbeat: now.at,
        currentBatch: beat.currentBatch ?? known.worker.currentBatch,
      },
      known.limits,
    );
    if (shouldContinue) this.#expect(id, known.limits, now.mono);
    const events: RecoveryEvent[] =
      status === before || status === 'failed' ? [] : [{ type: status, at: now.at, worker }];
    return { answer: { workerId: id, shouldContinue, status }, changes, events };
  }

  /** What failed was maybe not the worker, but its line to us. */
  #excused(id: string, { unreachedSeconds }: Beat, { mono }: Now): Entry | undefined {
    const known = this.#entries.get(id);
    if (!known || unreachedSeconds === undefined) return known;
    if (!this.#silences.takeBack(id, unreachedSeconds, mono)) return known;
    return { ...known, worker: { ...known.worker, failureCount: known.worker.failureCount - 1 } };
  }

  beatAll(beats: readonly WorkerBeat[], now: Now): Outcome & { readonly answers: BeatAnswer[] } {
    const outcomes = beats.map((beat) => this.beat(beat.workerId, beat, now));
    return { ...joined(outcomes), answers: outcomes.map(({ answer }) => answer) };
  }

  /** @returns undefined: there is no such worker */
  fail(id: string, reason: string, now: Now): (Outcome & { readonly worker: WorkerState }) | undefined {
    const known = this.#entries.get(id);
    if (!known) return undefined;
    this.#wheel.delete(id);
    const { worker, changes } = this.#put(
      { ...known.worker, status: 'failed', failureCount: known.worker.failureCount + 1 },
      known.limits,
    );
    return { worker, changes, events: [{ type: 'failed', at: now.at, worker, reason }] };
  }

  remove(id: string, now: Now): Outcome & { readonly known: boolean } {
    const known = this.#entries.get(id);
    if (!known) return { ...nothing, known: false };
    this.#wheel.delete(id);
    this.#silences.forget(id);
    this.#entries.delete(id);
    return {
      known: true,
      events: [{ type: 'unregistered', at: now.at, worker: known.worker }],
      changes: [{ type: 'gone', workerId: id }],
    };
  }

  /** A checkpoint was saved, maybe for a worker that is not registered. Two may be told of in the wrong order. */
  checkpoint(id: string, checkpoint: SavedCheckpoint, now: Now): Outcome {
    const known = this.#entries.get(id);
    const events: RecoveryEvent[] = [{ type: 'checkpoint', at: now.at, workerId: id, checkpoint }];
    if (!known || !isNewer(checkpoint.path, known.worker.lastCheckpoint)) return { events, changes: [] };
    const { changes } = this.#put({ ...known.worker, lastCheckpoint: checkpoint.path }, known.limits);
    return { events, changes };
  }

  /** Begins the watch, with a whole timeout for everyone, or ends it. */
  monitor(on: boolean, now: Now): Outcome {
    if (this.#watch === (on ? 'on' : 'stopped')) return nothing;
    if (on) this.#watchAll(now.mono);
    else this.#watch = 'stopped';
    return {
      events: [{ type: 'monitoring', at: now.at, monitoring: on }],
      changes: [{ type: 'monitoring', monitoring: on }],
    };
  }

  /** Every `tickMs` while monitoring: who was silent for its timeout has failed. */
  tick(now: Now): Outcome {
    if (this.#watch !== 'on') return nothing;
    const silent = this.#wheel.due(this.#time.tick(now.mono));
    for (const id of silent) this.#silences.counted(id, now.mono);
    return joined(silent.map((id) => this.fail(id, this.#silenceOf(id), now) ?? nothing));
  }

  #silenceOf(id: string): string {
    const { heartbeatTimeoutMs } = { ...this.#defaults, ...this.#entries.get(id)?.limits };
    return `no heartbeat within its timeout of ${formatDuration(heartbeatTimeoutMs)}`;
  }

  /** It failed more often than it may: it stays as it is for good. */
  #isBeyond({ worker, limits }: Entry): boolean {
    return worker.failureCount > this.#mostFailures(limits);
  }

  #mostFailures(limits: Partial<WorkerTimes>): number {
    return this.#patient ? Infinity : (limits.maxFailures ?? this.#defaults.maxFailures);
  }

  #put(state: WorkerState, limits: Partial<WorkerTimes>): { worker: WorkerState; changes: WorkerChange[] } {
    const worker = Object.freeze(state); // it is handed out
    this.#entries.set(worker.workerId, { worker, limits });
    return { worker, changes: [{ type: 'worker', worker, limits }] };
  }

  #expect(id: string, limits: Partial<WorkerTimes>, mono: number): void {
    const { heartbeatTimeoutMs } = { ...this.#defaults, ...limits };
    if (this.#watch === 'on') this.#wheel.set(id, this.#time.at(mono) + heartbeatTimeoutMs);
  }

  #watchAll(mono: number): void {
    this.#watch = 'on';
    this.#time.resume(mono);
    for (const [id, { worker, limits }] of this.#entries) {
      if (worker.status !== 'failed') this.#expect(id, limits, mono);
    }
  }
}

const joined = (outcomes: readonly Outcome[]): Outcome => ({
  events: outcomes.flatMap(({ events }) => events),
  changes: outcomes.flatMap(({ changes }) => changes),
});

/** Names of one folder sort by their time; one in another folder comes from another setting and gives way. */
export function isNewer(path: string, than: string | null): boolean {
  const folder = path.slice(0, Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
  return than?.startsWith(folder) !== true || path >= than;
}
