import { summarize } from '../progress/fold.js';
import { judge, silenceDeadline } from '../progress/silence.js';
import type { SilenceDeadline } from '../progress/types.js';
import type { CheckpointWatch } from './checkpoint-watch.js';
import type { Worker } from './ports.js';
import type { ProgressFold } from './progress-fold.js';
import type { Loop } from './supervise.js';

/** How often a living worker is looked at, ms. */
const tickMs = 200;

/** A tick later than this means that we or the host slept: the time is not held against the worker, ms. */
const lateMs = 2000;

export interface SilenceWatch {
  /** When silence counts as a hang, monotonic ms; undefined: never, or it already does. */
  readonly hangAtMono: number | undefined;
  close(): void;
}

/** Judges a worker's silence: posts `silence-warning` once a silence, and `deadline` once. */
export function watchSilence(
  loop: Loop,
  worker: Worker,
  fold: ProgressFold,
  checkpoints: CheckpointWatch | undefined,
): SilenceWatch {
  const { clock, policy } = loop.parts;
  let lastTickMono = clock.mono();
  let dueMono = lastTickMono + tickMs;
  /** The last progress that a warning was given about. */
  let warnedOf: number | undefined;
  let hanging = false;
  let closed = false;
  let cancel = clock.after(tickMs, onTick);

  const deadline = (): SilenceDeadline | undefined =>
    silenceDeadline(policy.silence, fold.progress, loop.state().ledger.timing);
  const silentSince = (): number => fold.progress.lastProgressMono ?? fold.progress.startedMono;

  function onTick(): void {
    loop.keep(tick());
  }

  async function tick(): Promise<void> {
    const now = clock.mono();
    // only the timer's own delay tells that we slept; what judging takes is no sleep
    if (worker.isSuspended()) forgive(now - lastTickMono);
    else if (now - dueMono > lateMs) forgive(now - dueMono);
    lastTickMono = now;
    if (warnedOf !== undefined && silentSince() !== warnedOf) {
      warnedOf = undefined;
      loop.post({ type: 'progressed', summary: summarize(fold.progress) });
    }
    if (!hanging && judge(deadline(), now) !== 'fine') await judgeSilence();
    if (closed) return;
    dueMono = clock.mono() + tickMs;
    cancel = clock.after(tickMs, onTick);
  }

  /** Takes back time that must not be held against the worker; it is no progress. */
  function forgive(ms: number): void {
    fold.extend(ms);
    if (warnedOf !== undefined) warnedOf += ms;
  }

  /** Silence is judged only on all that was written: the logs are read to their end first, the folder is looked at. */
  async function judgeSilence(): Promise<void> {
    await worker.drain();
    const first = judge(deadline(), clock.mono());
    if (first === 'fine' || (first === 'warn' && warnedOf === silentSince())) return;
    await checkpoints?.look();
    const mono = clock.mono();
    const due = deadline();
    const verdict = judge(due, mono);
    if (!due || verdict === 'fine' || closed) return;
    const { startedMono, step } = fold.progress;
    const { which, basis } = due;
    const silentMs = mono - (which === 'startup' ? startedMono : silentSince());
    if (verdict === 'hang') {
      hanging = true;
      loop.post({ type: 'deadline', which, silentMs, basis, ...(step !== undefined && { lastStep: step }) });
    } else if (warnedOf !== silentSince()) {
      warnedOf = silentSince();
      loop.post({ type: 'silence-warning', silentMs, basis });
    }
  }

  return {
    get hangAtMono() {
      return hanging ? undefined : deadline()?.hangAtMono;
    },
    close() {
      closed = true;
      cancel();
    },
  };
}
