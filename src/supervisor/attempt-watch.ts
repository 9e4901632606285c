import type { Failure } from '../failure/types.js';
import type { Effect } from '../policy/effect.js';
import { summarize } from '../progress/fold.js';
import type { Progress } from '../progress/types.js';
import { type CheckpointWatch, watchCheckpoints } from './checkpoint-watch.js';
import type { Live } from './parts.js';
import type { LogOffsets, Worker, WorkerEvents } from './ports.js';
import { maskText } from '../util/mask.js';
import { errorCode, errorText } from '../util/os/durable.js';
import { ProblemError } from '../util/result.js';
import { createProgressFold, type ProgressFold } from './progress-fold.js';
import { type SilenceWatch, watchSilence } from './silence-watch.js';
import { type Loop, notStarted } from './supervise.js';

/** How much of each log's end a failure is judged by. */
const tailBytes = 1024 * 1024;

/** How long the end of an attempt waits to hear what it was run from, ms. */
const codePatienceMs = 5000;

const noOffsets: LogOffsets = { out: 0, err: 0 };

/** One attempt under watch: its lines are folded, its silence is judged, its end is told. */
export interface AttemptWatch {
  readonly progress: Progress;
  /** Tells the worker to do something, as soon as it is there. */
  order(order: (worker: Worker) => void): void;
  live(): Omit<Live, 'state'>;
  /** Settles when nothing of the watch touches the checkpoint folder any more. */
  settled(): Promise<void>;
  close(): void;
}

/** What watches a worker once it is there. */
interface Watched {
  readonly worker: Worker;
  readonly checkpoints: CheckpointWatch | undefined;
  readonly silence: SilenceWatch;
  readonly unwatchFiles: (() => void) | undefined;
  readonly unhear: (() => void) | undefined;
}

/** Launches an attempt and watches it to its end. Answers by `launched` and `exited`. */
export async function startAttempt(loop: Loop, effect: Extract<Effect, { type: 'launch' }>): Promise<void> {
  const { parts } = loop;
  const fold = createProgressFold(loop);
  const attempt = prepareWatch(loop, fold, noOffsets);
  // beside the launch, which nothing may hold up; a later edit is the next attempt's
  const code = parts.codeFacts();
  const launched = await parts.engine.launch(parts.launchSpec(effect), attempt.events);
  if (!launched.ok) {
    loop.post(notStarted(launched.error.message, launched.error.code));
    return;
  }
  loop.post({ type: 'launched', pid: launched.value.pid });
  const noted = code.then((facts) => {
    if (facts) loop.post({ type: 'code-noted', attempt: effect.attempt, code: facts });
  });
  await attempt.watch(launched.value, noted);
}

/**
 * Takes an attempt in hand that an earlier supervisor left under way, where that one left off, and watches it to its
 * end. Answers by `adopted` and `exited`, or by `launch-abandoned`.
 */
export async function adoptAttempt(
  loop: Loop,
  { attempt: number }: Extract<Effect, { type: 'adopt' }>,
): Promise<void> {
  const { parts } = loop;
  const known = parts.inheritance?.attempt === number ? parts.inheritance : undefined;
  const offsets = known?.offsets ?? noOffsets;
  const begunMono = loop.now().mono;
  const fold = createProgressFold(loop, known);
  const attempt = prepareWatch(loop, fold, offsets);
  const adopted = await parts.engine.adopt(parts.adoptSpec(number, offsets), attempt.events);
  // nothing may be launched beside it
  if (!adopted.ok) throw new ProblemError(adopted.error);
  const worker = adopted.value;
  if (!worker) {
    if (loop.state().name === 'starting') {
      loop.post({ type: 'launch-abandoned' });
      return;
    }
    // it was seen to run, and nothing is left of it: not even how it ended
    const exit = { type: 'unknown' } as const;
    const failure = parts.classify({ exit, tails: [], host: {} });
    loop.post({ type: 'exited', exit, failure, summary: summarize(fold.progress) });
    return;
  }
  const { mono } = loop.now();
  fold.extend(mono - begunMono); // nothing was read yet
  const unwatchedMs = known ? Math.max(0, mono - known.mono) : 0;
  loop.post({ type: 'adopted', pid: worker.pid, alive: worker.alive, unwatchedMs });
  await attempt.watch(worker);
}

/** Makes ready for a worker: what it says is folded, and what it is ordered meanwhile reaches it once it is there. */
function prepareWatch(
  loop: Loop,
  fold: ProgressFold,
  from: LogOffsets,
): { readonly events: WorkerEvents; watch(worker: Worker, noted?: Promise<void>): Promise<void> } {
  const { parts } = loop;
  let watched: Watched | undefined;
  let orders: ((worker: Worker) => void)[] = [];
  const offsets = (): LogOffsets => watched?.worker.offsets ?? from;
  const attempt: AttemptWatch = {
    get progress() {
      return fold.progress;
    },
    order(order) {
      if (watched) order(watched.worker);
      else orders.push(order);
    },
    live() {
      const hangAtMono = watched?.silence.hangAtMono;
      return {
        progress: fold.progress,
        offsets: offsets(),
        ...(hangAtMono !== undefined && { nextDeadlineMono: hangAtMono }),
      };
    },
    async settled() {
      await watched?.checkpoints?.close();
    },
    close() {
      watched?.silence.close();
      watched?.unwatchFiles?.();
      watched?.unhear?.();
      if (watched?.checkpoints) loop.keep(watched.checkpoints.close());
    },
  };
  loop.attempt?.close();
  loop.attempt = attempt;

  return {
    events: {
      line: (text) => fold.line(text, offsets),
      stuck: (pid, wchan) => loop.post({ type: 'stuck', pid, wchan }),
      notice: (text) => parts.notice(text),
    },
    async watch(worker, noted) {
      const checkpoints = watchCheckpoints(loop, {
        drain: () => worker.drain(),
        step: () => fold.progress.step,
        healthy: () => fold.progress.unhealthy === undefined && fold.progress.badLosses === 0,
        grew: () => fold.grew(),
        completed: () => worker.noteCheckpoint(),
      });
      const unwatchFiles = parts.watchFiles?.(() => fold.grew());
      const unhear = parts.hearLines?.((line) => fold.line(line, offsets));
      const silence = watchSilence(loop, worker, fold, checkpoints);
      watched = { worker, checkpoints, silence, unwatchFiles, unhear };
      for (const order of orders) order(worker);
      orders = [];
      const exit = await worker.ended;
      attempt.close();
      // what it was run from belongs to how it failed; who hangs over the answer is not waited for
      if (noted) await atMost(parts, noted, codePatienceMs);
      const [tails, host] = await Promise.all([
        worker.tails(tailBytes).catch(without(loop, [])),
        worker.hostFacts().catch(without(loop, {})),
      ]);
      const { unhealthy } = fold.progress;
      const failure = maskFailure(
        parts.classify({ exit, tails, host, ...(unhealthy && { health: unhealthy }) }),
      );
      const { stacks } = worker;
      loop.post({
        ...{ type: 'exited', exit, failure, summary: summarize(fold.progress) },
        ...(stacks && { stacks }),
      });
    },
  };
}

/** What a sick disk does not tell is done without; a bug is still a bug. */
const without =
  <T>(loop: Loop, instead: T) =>
  (error: unknown): T => {
    if (errorCode(error) === undefined) throw error;
    loop.parts.notice(`the end of the attempt is judged without what could not be read: ${errorText(error)}`);
    return instead;
  };

/** What an exception says may hold a token or a URL with credentials; from here it goes to disk and to people. */
const maskFailure = (failure: Failure): Failure => ({
  ...failure,
  reason: maskText(failure.reason),
  evidence: failure.evidence.map(({ text, source }) => ({ text: maskText(text), source })),
});

/** Waits for work that goes on by itself where it takes too long. */
async function atMost({ clock }: Loop['parts'], work: Promise<void>, ms: number): Promise<void> {
  let cancel: () => void = () => undefined;
  const late = new Promise<void>((resolve) => {
    cancel = clock.after(ms, resolve);
  });
  await Promise.race([work, late]);
  cancel();
}
