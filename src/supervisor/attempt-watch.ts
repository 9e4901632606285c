import type { Effect } from '../policy/effect.js';
import { extend, fold, noteLife, startProgress, summarize } from '../progress/fold.js';
import { parseHeartbeats } from '../progress/heartbeat.js';
import { judge, silenceDeadline } from '../progress/silence.js';
import type { HealthFinding, Progress, TimingHistory } from '../progress/types.js';
import { type CheckpointWatch, watchCheckpoints } from './checkpoint-watch.js';
import type { Live } from './parts.js';
import type { LogOffsets, Worker } from './ports.js';
import { type Loop, notStarted } from './supervise.js';

/** How often a living worker is looked at, ms. */
const tickMs = 200;

/** A tick later than this means that we or the host slept: the time is not held against the worker, ms. */
const lateMs = 2000;

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

/** Launches an attempt and watches it to its end. Answers by `launched` and `exited`. */
export async function startAttempt(loop: Loop, effect: Extract<Effect, { type: 'launch' }>): Promise<void> {
  const { parts } = loop;
  let progress = startProgress(loop.now());
  let worker: Worker | undefined;
  let checkpoints: CheckpointWatch | undefined;
  let cancelTick: (() => void) | undefined;
  let lastTickMono = parts.clock.mono();
  let warned = false;
  let hanging = false;
  let reported: HealthFinding | undefined;
  let firstSeen = false;
  let stepSeen = false;
  let closed = false;

  const history = (): TimingHistory => loop.state().ledger.timing;
  const deadline = (): ReturnType<typeof silenceDeadline> =>
    silenceDeadline(parts.policy.silence, progress, history());

  function onLine(text: string): void {
    const now = loop.now();
    progress = noteLife(progress, now);
    const heartbeats = parseHeartbeats(text);
    if (heartbeats.length === 0) return;
    for (const heartbeat of heartbeats) {
      progress = fold(progress, heartbeat, now);
      parts.heartbeat(heartbeat, now.at, worker?.offsets ?? noOffsets);
    }
    report();
  }

  /** Tells the policy what is new about the attempt as a whole; single heartbeats are no events. */
  function report(): void {
    if (progress.lastProgressMono !== undefined) warned = false;
    const first = !firstSeen && progress.lastProgressMono !== undefined;
    const step = !stepSeen && progress.firstStep !== undefined;
    if (first || step) {
      firstSeen = true;
      stepSeen = progress.firstStep !== undefined;
      loop.post({ type: 'progressed', summary: summarize(progress) });
    }
    if (progress.unhealthy && progress.unhealthy !== reported) {
      reported = progress.unhealthy;
      loop.post({ type: 'unhealthy', finding: progress.unhealthy });
    }
  }

  async function tick(): Promise<void> {
    const now = parts.clock.mono();
    const late = now - lastTickMono - tickMs;
    if (worker?.isSuspended()) progress = extend(progress, now - lastTickMono);
    else if (late > lateMs) progress = extend(progress, late);
    lastTickMono = now;
    if (!hanging && look(now) !== 'fine') await judgeSilence();
    cancelTick = closed ? undefined : parts.clock.after(tickMs, onTick);
  }

  const look = (mono: number): ReturnType<typeof judge> => judge(deadline(), mono);

  /** Silence is judged only on all that was written: the logs are read to their end first, the folder is looked at. */
  async function judgeSilence(): Promise<void> {
    await worker?.drain();
    if (look(parts.clock.mono()) === 'fine') return;
    await checkpoints?.look();
    const mono = parts.clock.mono();
    const verdict = look(mono);
    const basis = deadline()?.basis ?? '';
    const which = deadline()?.which ?? 'silence';
    const silentMs =
      mono -
      (which === 'startup' ? progress.startedMono : (progress.lastProgressMono ?? progress.startedMono));
    if (verdict === 'warn' && !warned) {
      warned = true;
      loop.post({ type: 'silence-warning', silentMs, basis });
    }
    if (verdict === 'hang') {
      hanging = true;
      const { step } = progress;
      loop.post({ type: 'deadline', which, silentMs, basis, ...(step !== undefined && { lastStep: step }) });
    }
  }

  const onTick = (): void => loop.keep(tick());

  const watch: AttemptWatch = {
    get worker() {
      return worker;
    },
    get progress() {
      return progress;
    },
    live() {
      const hangAtMono = deadline()?.hangAtMono;
      return {
        progress,
        ...(worker && { offsets: worker.offsets }),
        ...(hangAtMono !== undefined && !hanging && { nextDeadlineMono: hangAtMono }),
      };
    },
    async settled() {
      await checkpoints?.close();
    },
    close() {
      closed = true;
      cancelTick?.();
      if (checkpoints) loop.keep(checkpoints.close());
    },
  };
  loop.attempt?.close();
  loop.attempt = watch;

  const launched = await parts.engine.launch(parts.launchSpec(effect), {
    line: onLine,
    stuck: (pid, wchan) => loop.post({ type: 'stuck', pid, wchan }),
    notice: (text) => parts.notice(text),
  });
  if (!launched.ok) {
    loop.post(notStarted(launched.error.message, launched.error.code));
    return;
  }
  worker = launched.value;
  loop.post({ type: 'launched', pid: worker.pid });
  checkpoints = watchCheckpoints(loop, {
    step: () => progress.step,
    healthy: () => progress.unhealthy === undefined && progress.badLosses === 0,
    grew: () => {
      progress = noteLife(progress, loop.now(), 'checkpoint-growth');
    },
    completed: () => worker?.noteCheckpoint(),
  });
  lastTickMono = parts.clock.mono();
  cancelTick = parts.clock.after(tickMs, onTick);

  const exit = await worker.ended;
  watch.close();
  const [tails, host] = await Promise.all([worker.tails(tailBytes), worker.hostFacts()]);
  const failure = parts.classify({ exit, tails, host });
  loop.post({ type: 'exited', exit, failure, summary: summarize(progress) });
}
