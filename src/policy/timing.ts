import type { TimingHistory } from '../progress/types.js';
import type { CheckpointFact } from './checkpoint.js';
import type { ProgressSummary } from './event.js';

/** What an attempt that is over has taught about the run. */
export function learn(
  timing: TimingHistory,
  summary: ProgressSummary,
  resume: CheckpointFact | undefined,
): TimingHistory {
  const longer = (a: number | undefined, b: number | undefined): number | undefined =>
    a === undefined ? b : b === undefined ? a : Math.max(a, b);
  const longestIntervalMs = longer(timing.longestIntervalMs, summary.longestIntervalMs);
  const longestStartMs = longer(timing.longestStartMs, summary.startMs);
  const restarts = timing.stepsRestart === true || countsFromLaunch(summary, resume);
  const { firstEpoch } = summary;
  const earliest =
    firstEpoch === undefined ? timing.firstEpoch : Math.min(firstEpoch, timing.firstEpoch ?? firstEpoch);
  const longestPhaseMs = { ...timing.longestPhaseMs };
  for (const phase of ['startup', 'train', 'eval', 'checkpoint'] as const) {
    const longest = longer(longestPhaseMs[phase], summary.longestPhaseMs[phase]);
    if (longest !== undefined) longestPhaseMs[phase] = longest;
  }
  return {
    everProgressed: timing.everProgressed,
    longestPhaseMs,
    ...(longestIntervalMs !== undefined && { longestIntervalMs }),
    ...(longestStartMs !== undefined && { longestStartMs }),
    ...(restarts && { stepsRestart: true as const }),
    ...(earliest !== undefined && { firstEpoch: earliest }),
  };
}

/** Whether an attempt that resumed began low and trained on past its checkpoint: its steps count from each launch. */
function countsFromLaunch(
  { firstStep, lastStep }: ProgressSummary,
  resume: CheckpointFact | undefined,
): boolean {
  if (resume?.step === undefined || firstStep === undefined || lastStep === undefined) return false;
  return firstStep * 2 < resume.step && lastStep > resume.step;
}
