import { formatCount } from '../util/text.js';
import { stepsGoOn } from './formats.js';
import type { HealthFinding, Progress, TimingHistory } from './types.js';

/** A save may lag some steps behind the heartbeats: fewer steps back than this are no new beginning. */
const fewestSteps = 5;

/**
 * Whether an attempt that was to go on from a checkpoint began near the beginning instead: its first step is less than
 * half of the checkpoint's. Only a step that heartbeats or the framework itself gave is believed; and where steps are
 * known to be counted anew (each epoch, each launch) a low one says nothing. Pure.
 * @param from what the attempt was to go on from
 */
export function notResumed(
  progress: Progress,
  from: { readonly id: string; readonly step?: number; readonly number?: number },
  history: TimingHistory,
): HealthFinding | undefined {
  const { firstStep, firstEpoch, step } = progress;
  if (firstStep === undefined || step === undefined || from.step === undefined) return undefined;
  if (history.stepsRestart === true || progress.wentBack || !stepsGoOn(progress.format)) return undefined;
  // a later epoch than any training began with: it went on, and counts its steps within the epoch
  if (firstEpoch !== undefined && firstEpoch > (history.firstEpoch ?? 1)) return undefined;
  // its write may have been noticed late, at a later step than its name says: who begins there went on from it
  const { number: named } = from;
  if (named !== undefined && firstStep >= named && firstStep <= named + fewestSteps) return undefined;
  // `step` too: of an attempt taken over from another supervisor the beginning may be long ago
  const target = from.step;
  const farBelow = (n: number): boolean => n * 2 < target && target - n >= fewestSteps;
  if (!farBelow(firstStep) || !farBelow(step)) return undefined;
  return {
    kind: 'not-resumed',
    step: firstStep,
    reason: `the training began at step ${formatCount(firstStep)} instead of going on from step ${formatCount(target)} (${from.id})`,
  };
}
