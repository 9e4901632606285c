import type { Failure } from '../failure/types.js';
import type { Effect } from '../policy/effect.js';
import { summarize } from '../progress/fold.js';
import type { Progress } from '../progress/types.js';
import { type CheckpointWatch, watchCheckpoints } from './checkpoint-watch.js';
import type { Live } from './parts.js';
import type { LogOffsets, Worker } from './ports.js';
import { maskText } from '../util/mask.js';
import { errorCode, errorText } from '../util/os/durable.js';
import { createProgressFold } from './progress-fold.js';
import { type SilenceWatch, watchSilence } from './silence-watch.js';
import { type Loop, notStarted } from './supervise.js';

/** How much of each log's end a failure is judged by. */
const tailBytes = 1024 * 1024;

const noOffsets: LogOffsets = { out: 0, err: 0 };

/** One attempt under watch: its lines are folded, its silence is judged, its end is told. */
export interface AttemptWatch {
  readonly worker: Worker | undefined;
  readonly progress: Progress;
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
}

/** Launches an attempt and watches it to its end. Answers by `launched` and `exited`. */
export async function startAttempt(loop: Loop, effect: Extract<Effect, { type: 'launch' }>): Promise<void> {
  const { parts } = loop;
  const fold = createProgressFold(loop);
  const slot: { watched?: Watched } = {};
  const watch = attemptWatch(loop, fold, slot);
  loop.attempt?.close();
  loop.attempt = watch;

  const offsets = (): LogOffsets => slot.watched?.worker.offsets ?? noOffsets;
  const launched = await parts.engine.launch(parts.launchSpec(effect), {
    line: (text) => fold.line(text, offsets),
    stuck: (pid, wchan) => loop.post({ type: 'stuck', pid, wchan }),
    notice: (text) => parts.notice(text),
  });
  if (!launched.ok) {
    loop.post(notStarted(launched.error.message, launched.error.code));
    return;
  }
  const worker = launched.value;
  loop.post({ type: 'launched', pid: worker.pid });
  const checkpoints = watchCheckpoints(loop, {
    drain: () => worker.drain(),
    step: () => fold.progress.step,
    healthy: () => fold.progress.unhealthy === undefined && fold.progress.badLosses === 0,
    grew: () => fold.grew(),
    completed: () => worker.noteCheckpoint(),
  });
  slot.watched = { worker, checkpoints, silence: watchSilence(loop, worker, fold, checkpoints) };

  const exit = await worker.ended;
  watch.close();
  const [tails, host] = await Promise.all([
    worker.tails(tailBytes).catch(without(loop, [])),
    worker.hostFacts().catch(without(loop, {})),
  ]);
  const { unhealthy } = fold.progress;
  const failure = maskFailure(parts.classify({ exit, tails, host, ...(unhealthy && { health: unhealthy }) }));
  loop.post({ type: 'exited', exit, failure, summary: summarize(fold.progress) });
}

function attemptWatch(
  loop: Loop,
  fold: { readonly progress: Progress },
  slot: { readonly watched?: Watched },
): AttemptWatch {
  return {
    get worker() {
      return slot.watched?.worker;
    },
    get progress() {
      return fold.progress;
    },
    live() {
      const hangAtMono = slot.watched?.silence.hangAtMono;
      return {
        progress: fold.progress,
        ...(slot.watched && { offsets: slot.watched.worker.offsets }),
        ...(hangAtMono !== undefined && { nextDeadlineMono: hangAtMono }),
      };
    },
    async settled() {
      await slot.watched?.checkpoints?.close();
    },
    close() {
      slot.watched?.silence.close();
      if (slot.watched?.checkpoints) loop.keep(slot.watched.checkpoints.close());
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
export const maskFailure = (failure: Failure): Failure => ({
  ...failure,
  reason: maskText(failure.reason),
  evidence: failure.evidence.map(({ text, source }) => ({ text: maskText(text), source })),
});
