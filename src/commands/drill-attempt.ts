import path from 'node:path';
import type { createLocalEngine } from '../engines/local/engine.js';
import { classify } from '../failure/classify.js';
import type { Exit } from '../failure/types.js';
import { fold, startProgress } from '../progress/fold.js';
import { stepsGoOn } from '../progress/formats.js';
import { createHeartbeatReader } from '../progress/heartbeat.js';
import type { Progress } from '../progress/types.js';
import type { AttemptSeen } from '../report/drill-facts.js';
import type { LaunchSpec } from '../supervisor/ports.js';
import { ok, type Result } from '../util/result.js';
import { maskText } from '../util/mask.js';
import { systemClock } from './run-parts.js';
import type { RunServer } from './serve-run.js';

/** What an attempt has reported up to now. */
export interface Watching {
  readonly progress: Progress;
  /** The last step that was reported before `at` (ms since 1970), and its loss. */
  before(at: number): Report | undefined;
  /** The newest report of at most this step. */
  upTo(step: number): Report | undefined;
  /** Reads what it printed up to now. */
  drain(): Promise<void>;
}

export interface Report {
  readonly step: number;
  readonly at: number;
  readonly loss?: number;
}

export interface DrillAttempt {
  readonly seen: AttemptSeen;
  readonly watching: Watching;
  readonly timedOut: boolean;
}

/** How often an attempt is looked at, ms. */
const lookMs = 50;
/** So many of an attempt's newest reports are remembered, and so many of its lines on resuming. */
const mostReports = 20_000;
const mostMentions = 20;
const tailBytes = 256 * 1024;

const speaksOfResuming = /resum|restor|load|checkpoint|ckpt|continu/i;

/**
 * Launches an attempt, watches it until it is enough, kills it with all that came of it, and says what was seen.
 * @param hearLines what it says by HTTP
 */
export async function runAttempt(
  engine: ReturnType<typeof createLocalEngine>,
  spec: LaunchSpec,
  limits: { readonly timeoutMs: number; readonly aborted: AbortSignal },
  enough: (watching: Watching) => Promise<boolean>,
  hearLines?: RunServer['hearLines'],
): Promise<Result<DrillAttempt>> {
  const begunMono = systemClock.mono();
  let progress = startProgress({ at: systemClock.now(), mono: begunMono });
  let firstLoss: number | undefined;
  let largestGap = 0;
  let reports: Report[] = [];
  const mentions: string[] = [];

  const readLine = createHeartbeatReader();
  function read(line: string): void {
    // steps that are counted anew each epoch or launch prove nothing
    const heartbeats = readLine(line).filter(({ format }) => stepsGoOn(format));
    if (heartbeats.length === 0 && mentions.length < mostMentions && speaksOfResuming.test(line))
      mentions.push(maskText(line.slice(0, 300)));
    for (const heartbeat of heartbeats) {
      const { step, loss } = heartbeat;
      const now = { at: systemClock.now(), mono: systemClock.mono() };
      const last = progress.step;
      progress = fold(progress, heartbeat, now);
      if (step === undefined) continue;
      if (loss !== undefined) firstLoss ??= loss;
      if (last !== undefined) largestGap = Math.max(largestGap, step - last);
      reports.push({ step, at: now.at, ...(loss !== undefined && { loss }) });
      if (reports.length > 2 * mostReports) reports = reports.slice(-mostReports);
    }
  }

  const unhear = hearLines?.(read);
  const launched = await engine.launch(spec, { line: read, stuck: () => undefined, notice: () => undefined });
  if (!launched.ok) return launched;
  const worker = launched.value;
  const watching: Watching = {
    get progress() {
      return progress;
    },
    before: (at) => reports.findLast((report) => report.at <= at),
    upTo: (step) => reports.findLast((report) => report.step <= step),
    drain: () => worker.drain(),
  };
  let exit: Exit | undefined;
  const ended = worker.ended.then((how) => {
    exit = how;
  });
  const over = (): boolean => systemClock.mono() - begunMono >= limits.timeoutMs || limits.aborted.aborted;
  try {
    while (exit === undefined && !over() && !(await enough(watching))) {
      const cancelled = new AbortController();
      await Promise.race([ended, pause(lookMs, cancelled.signal)]);
      cancelled.abort();
    }
  } finally {
    unhear?.();
    // also after a bug: nothing of a drill may go on
    if (exit === undefined) worker.kill();
  }
  const byItself = exit;
  await ended;
  const failure =
    byItself &&
    classify({ exit: byItself, tails: await worker.tails(tailBytes), host: await worker.hostFacts() });
  const { firstStep, step } = progress;
  const seen: AttemptSeen = {
    argv: spec.argv,
    largestGap,
    mentions,
    seconds: Math.round(systemClock.mono() - begunMono) / 1000,
    ...(firstStep !== undefined && { firstStep }),
    ...(step !== undefined && { lastStep: step }),
    ...(firstLoss !== undefined && { firstLoss }),
    ...(byItself && failure && { ended: { exit: byItself, failure } }),
  };
  return ok({
    seen,
    watching,
    timedOut: byItself === undefined && systemClock.mono() - begunMono >= limits.timeoutMs,
  });
}

function pause(ms: number, cancelled: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const cancel = systemClock.after(ms, resolve);
    cancelled.addEventListener('abort', cancel, { once: true });
  });
}

/** Where the attempts of a drill keep their logs. */
export const attemptDirIn = (root: string, attempt: number): string =>
  path.join(root, 'attempts', String(attempt));
