import { randomUUID } from 'node:crypto';
import { statSync } from 'node:fs';
import { attemptFiles } from '../engines/local/attempt-files.js';
import { createLocalEngine } from '../engines/local/engine.js';
import type { Exit } from '../failure/types.js';
import { isUsable } from '../policy/checkpoint.js';
import { fold, startProgress } from '../progress/fold.js';
import type { TrialFacts } from '../report/doctor-trial.js';
import type { CheckpointStore } from '../supervisor/ports.js';
import { ok, type Result } from '../util/result.js';
import { attemptDirIn } from './drill-attempt.js';
import type { DrillPlace } from './drill-place.js';
import { systemClock } from './run-parts.js';
import { readingOf } from './run-reading.js';
import type { RunPlan } from './run-plan.js';
import type { RunServer } from './serve-run.js';
import { withoutServer, workerEnv } from './worker-env.js';

export interface Trial {
  readonly plan: RunPlan;
  readonly place: DrillPlace;
  /** Of the scratch folder; undefined: no checkpoint folder is known. */
  readonly store: CheckpointStore | undefined;
  /** Where its workers report by HTTP. */
  readonly server: RunServer | undefined;
  /** How long it may train, ms. */
  readonly ms: number;
  /** Ends the trial early, and at once. */
  readonly stopped: AbortSignal;
  readonly killed: AbortSignal;
}

/** How often the training is looked at, and its folder at most, ms. */
const lookMs = 100;
const scanMs = 1000;
/** So many reports of a step show how far apart they are. */
const enoughReports = 4;
/** What is held back comes in blocks: of C in a multiple of this, of Python without the line that did not fit, bytes. */
const blockBytes = 4096;
const longLine = 256;
const logBytes = 64 * 1024 * 1024;
const tailBytes = 256 * 1024;
const verifyBudgetMs = 10_000;

/** Launches the command, watches it until enough was seen, and stops it as a run would. */
export async function watchTrial(trial: Trial): Promise<Result<TrialFacts>> {
  const { plan, place, store, server, ms, stopped, killed } = trial;
  const begunMono = systemClock.mono();
  let progress = startProgress({ at: systemClock.now(), mono: begunMono });
  const seenFormats = new Set<string>();
  let reports = 0;
  const { graceMs, signal } = plan.policy.stop;
  const engine = createLocalEngine({
    logsKeepAttemptBytes: logBytes,
    graceMs,
    checkpointDirs: store ? [store.dir] : [],
    clock: systemClock,
  });
  const spec = {
    attemptDir: attemptDirIn(place.root, 0),
    attempt: 0,
    argv: place.argv,
    cwd: place.cwd,
    // shells and some scripts believe PWD
    env: {
      ...workerEnv(
        withoutServer(process.env),
        { type: 'launch', attempt: 0 },
        store?.dir,
        server?.begin(0) ?? {},
      ),
      PWD: place.cwd,
    },
    runId: randomUUID(),
    stopSignal: signal,
    stdin: 'null' as const,
  };
  const reading = readingOf(plan, systemClock);
  const read = reading.heartbeatReader();
  const line = (text: string): void => {
    for (const heartbeat of read(text)) {
      progress = fold(progress, heartbeat, { at: systemClock.now(), mono: systemClock.mono() });
      if (heartbeat.step !== undefined) reports++;
      if (!heartbeat.bar) seenFormats.add(heartbeat.format ?? 'heartbeat lines');
    }
  };
  server?.hearLines(line);
  const launched = await engine.launch(spec, { line, stuck: () => undefined, notice: () => undefined });
  if (!launched.ok) return launched;
  const worker = launched.value;
  let exit: Exit | undefined;
  const ended = worker.ended.then((how) => {
    exit = how;
  });
  const blocks = watchBlocks(spec.attemptDir);
  const saves = watchSaves(store);
  const isEnough = async (): Promise<boolean> =>
    (await saves.look()) && reports >= enoughReports && systemClock.mono() - begunMono > scanMs;
  try {
    while (exit === undefined && !stopped.aborted && systemClock.mono() - begunMono < ms) {
      await Promise.race([ended, pause(lookMs)]);
      await worker.drain();
      blocks.look();
      if (await isEnough()) break;
    }
  } finally {
    // also after a bug: nothing of a trial may go on
    if (exit === undefined) worker.stop({ signal, graceMs, dumpStacks: false, preempted: false });
  }
  const byItself = exit;
  const beforeStop = progress.heartbeats;
  const seconds = Math.round(systemClock.mono() - begunMono) / 1000;
  killed.addEventListener('abort', () => worker.kill(), { once: true });
  if (killed.aborted) worker.kill();
  await ended;
  const failure = byItself && reading.classify({ exit: byItself, tails: await worker.tails(tailBytes), host: await worker.hostFacts() }); // prettier-ignore
  const wasKilled = !byItself && !stopped.aborted && isKill(exit);
  const { firstStep, step, startMs, longestIntervalMs, reportsPhase, heartbeats } = progress;
  return ok({
    ...{ seconds, heartbeats, reportsPhase },
    formats: [...seenFormats],
    printed: worker.offsets.out + worker.offsets.err,
    buffered: blocks.areSeen() || (!byItself && beforeStop === 0 && heartbeats > 0),
    ...(failure && { ended: { well: failure.kind === 'success', kind: failure.kind, reason: failure.reason } }), // prettier-ignore
    ...(firstStep !== undefined && { firstStep }),
    ...(step !== undefined && { lastStep: step }),
    ...(startMs !== undefined && { startMs }),
    ...(longestIntervalMs !== undefined && { longestIntervalMs }),
    ...(store && { saved: saves.ids() }),
    ...(wasKilled && { killedAfterMs: graceMs }),
  });
}

const isKill = (exit: Exit | undefined): boolean => exit?.type === 'signal' && exit.signal === 'SIGKILL';

const pause = (ms: number): Promise<void> => new Promise((resolve) => void systemClock.after(ms, resolve));

/** Whether stdout grows by whole blocks. */
function watchBlocks(attemptDir: string): { look(): void; areSeen(): boolean } {
  const { out } = attemptFiles(attemptDir);
  const growths: number[] = [];
  let size = 0;
  return {
    look() {
      const now = statSync(out, { throwIfNoEntry: false })?.size ?? 0;
      if (now > size) growths.push(now - size);
      size = now;
    },
    areSeen: () =>
      growths.length > 0 &&
      growths.every((bytes) => Math.ceil(bytes / blockBytes) * blockBytes - bytes < longLine),
  };
}

/** Which checkpoints became complete. */
function watchSaves(store: CheckpointStore | undefined): { look(): Promise<boolean>; ids(): string[] } {
  const ids = new Set<string>();
  let dueMono = 0;
  return {
    ids: () => [...ids],
    /** @returns whether there is nothing more to wait for */
    async look() {
      if (!store) return true;
      if (systemClock.mono() < dueMono) return ids.size > 0;
      const found = await store.inspect({ live: true, budgetMs: verifyBudgetMs });
      dueMono = systemClock.mono() + scanMs;
      if (found.ok) for (const { id, standing } of found.value.checkpoints) if (isUsable(standing)) ids.add(id);
      return ids.size > 0;
    },
  };
} // prettier-ignore
