import type { ProgressSummary } from '../policy/event.js';
import { checkHealth } from './health.js';
import type { Heartbeat, Instant, Phase, Progress } from './types.js';

/** A copy of a Progress while it is being changed. */
export type ProgressDraft = { -readonly [Key in keyof Progress]: Progress[Key] };

/** What an attempt knows at its launch. */
export const startProgress = ({ mono }: Instant): Progress => ({
  startedMono: mono,
  lastLifeMono: mono,
  heartbeats: 0,
  reportsPhase: false,
  led: false,
  longestPhaseMs: {},
  badLosses: 0,
  badGradNorms: 0,
  recentLosses: [],
});

/**
 * Adds one heartbeat. It is progress when a step or an epoch goes up, when the phase changes, or when no step was ever
 * reported; anything else is life. Other ranks than 0 count only as long as no rank 0 (or unranked) one was seen.
 */
export function fold(known: Progress, heartbeat: Heartbeat, instant: Instant): Progress {
  if (heartbeat.bar) return { ...known, lastLifeMono: instant.mono, barMono: instant.mono };
  const progress = countedAlike(known, heartbeat);
  const next: ProgressDraft = { ...progress };
  next.heartbeats++;
  next.lastLifeMono = instant.mono;
  next.lastHeartbeatAt = instant.at;
  const leads = heartbeat.rank === undefined || heartbeat.rank === 0;
  if (!leads && progress.led) return next;
  if (leads) next.led = true;

  const phase = phaseOf(progress, heartbeat);
  const advanced = takeCounts(next, progress, heartbeat);
  const phaseChanged = phase !== undefined && phase !== progress.phase;
  if (advanced || phaseChanged || progress.step === undefined) noteProgress(next, phase, instant.mono);
  if (phaseChanged) {
    next.phase = phase;
    next.phaseSinceMono = instant.mono;
    next.reportsPhase ||= heartbeat.phase !== undefined && heartbeat.phase !== 'done';
  }
  checkHealth(next, progress, heartbeat);
  return next;
}

/** What is seen besides heartbeats. */
export type Life = 'line' | 'checkpoint-growth' | 'file-growth';

/** How exactly the time of the last line is kept, ms: most lines then cost nothing. */
const lifeResolutionMs = 100;

/** Notes a sign of life. Growth of the checkpoint folder or of a heartbeat file also pauses the clock of silence. */
export function noteLife(progress: Progress, { mono }: Instant, life: Life = 'line'): Progress {
  if (life === 'line') {
    return mono - progress.lastLifeMono < lifeResolutionMs ? progress : { ...progress, lastLifeMono: mono };
  }
  return { ...progress, lastLifeMono: mono, graceFromMono: mono };
}

/**
 * Shifts the clocks by time that must not be held against the worker: the host slept, the worker was suspended,
 * nobody watched. To be called before what was written in that time is folded.
 */
export function extend(progress: Progress, ms: number): Progress {
  const { lastProgressMono, phaseSinceMono, graceFromMono, barMono } = progress;
  return {
    ...progress,
    startedMono: progress.startedMono + ms,
    lastLifeMono: progress.lastLifeMono + ms,
    ...(lastProgressMono !== undefined && { lastProgressMono: lastProgressMono + ms }),
    ...(phaseSinceMono !== undefined && { phaseSinceMono: phaseSinceMono + ms }),
    ...(graceFromMono !== undefined && { graceFromMono: graceFromMono + ms }),
    ...(barMono !== undefined && { barMono: barMono + ms }),
  };
}

/** What the heartbeats of an attempt came to. */
export function summarize(progress: Progress): ProgressSummary {
  const { firstStep, step, firstEpoch, totalSteps, loss, startMs, lastProgressMono, longestIntervalMs } =
    progress;
  const trainMs =
    startMs === undefined || lastProgressMono === undefined
      ? undefined
      : Math.max(0, lastProgressMono - progress.startedMono - startMs);
  return {
    heartbeats: progress.heartbeats,
    longestPhaseMs: progress.longestPhaseMs,
    ...(firstStep !== undefined && { firstStep }),
    ...(step !== undefined && { lastStep: step }),
    ...(firstEpoch !== undefined && { firstEpoch }),
    ...(totalSteps !== undefined && { totalSteps }),
    ...(loss !== undefined && { loss }),
    ...(progress.unhealthy?.step !== undefined && { badStep: progress.unhealthy.step }),
    ...(progress.unhealthy?.at !== undefined && { badAt: progress.unhealthy.at }),
    ...(startMs !== undefined && { startMs }),
    ...(trainMs !== undefined && { trainMs }),
    ...(longestIntervalMs !== undefined && { longestIntervalMs }),
  };
}

/** The phase after this heartbeat. A step beyond all others, without a phase, says that training goes on. */
function phaseOf(progress: Progress, heartbeat: Heartbeat): Phase | undefined {
  if (heartbeat.phase !== undefined) return heartbeat.phase;
  const { step } = heartbeat;
  // who goes on after all may count from anywhere
  const isNewStep =
    step !== undefined &&
    (progress.phase === 'done' ? step !== progress.step : step > (progress.maxStep ?? -1));
  return progress.phase !== undefined && isNewStep ? 'train' : progress.phase;
}

/** Counts of another counter say nothing beside this one's: they are forgotten. */
function countedAlike(progress: Progress, { format, step, epoch }: Heartbeat): Progress {
  // epochs from here on, where it had counted steps: their last one would stand for ever
  const nowEpochs =
    step === undefined && epoch !== undefined && progress.epoch === undefined && format === 'plain';
  if ((format === progress.format && !nowEpochs) || (step === undefined && epoch === undefined))
    return progress;
  const next: ProgressDraft = { ...progress };
  delete next.format;
  delete next.step;
  delete next.maxStep;
  delete next.firstStep;
  delete next.totalSteps;
  delete next.epoch;
  delete next.firstEpoch;
  if (format !== undefined) next.format = format;
  return next;
}

/** @returns whether a step or an epoch went up. Scripts that count steps anew each epoch go back and then up again. */
function takeCounts(next: ProgressDraft, progress: Progress, heartbeat: Heartbeat): boolean {
  const { step, epoch, totalSteps, phase } = heartbeat;
  let advanced = false;
  if (totalSteps !== undefined) next.totalSteps = totalSteps;
  if (epoch !== undefined) {
    advanced = progress.epoch !== undefined && epoch > progress.epoch;
    next.epoch = epoch;
    next.firstEpoch ??= epoch;
  }
  if (step !== undefined) {
    advanced ||= step > (progress.step ?? -1);
    next.step = step;
    // said while it starts up, or of batches that it evaluates first, it is not where the training begins
    if (phase === undefined || phase === 'train') next.firstStep ??= step;
    next.maxStep = Math.max(step, progress.maxStep ?? step);
  }
  return advanced;
}

function noteProgress(next: ProgressDraft, phase: Phase | undefined, mono: number): void {
  const { lastProgressMono, phase: spentIn } = next;
  if (lastProgressMono === undefined) {
    // announcing that it starts up is not yet having started, and who never began is not done
    if ((phase === 'startup' || phase === 'done') && next.step === undefined) return;
    next.startMs = Math.max(0, mono - next.startedMono);
  } else {
    const interval = Math.max(0, mono - lastProgressMono);
    next.longestIntervalMs = Math.max(next.longestIntervalMs ?? 0, interval);
    if (spentIn !== undefined && interval > (next.longestPhaseMs[spentIn] ?? -1)) {
      next.longestPhaseMs = { ...next.longestPhaseMs, [spentIn]: interval };
    }
  }
  next.lastProgressMono = mono;
}
