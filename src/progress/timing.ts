import type { ProgressSummary } from '../policy/event.js';
import { longer } from './silence.js';
import type { Phase, TimingHistory } from './types.js';

const phases: readonly Phase[] = ['startup', 'train', 'eval', 'checkpoint'];

/** What a run knows of its times before its first attempt. */
export const noHistory: TimingHistory = { everProgressed: false, longestPhaseMs: {} };

/** Adds what an attempt showed of how long things take: the longest of each, in any attempt. */
export function learn(history: TimingHistory, summary: ProgressSummary): TimingHistory {
  const longestIntervalMs = longer(history.longestIntervalMs, summary.longestIntervalMs);
  const longestStartMs = longer(history.longestStartMs, summary.startMs);
  const longestPhaseMs: Partial<Record<Phase, number>> = {};
  for (const phase of phases) {
    const longest = longer(history.longestPhaseMs[phase], summary.longestPhaseMs[phase]);
    if (longest !== undefined) longestPhaseMs[phase] = longest;
  }
  return {
    everProgressed: history.everProgressed || summary.startMs !== undefined,
    longestPhaseMs,
    ...(longestIntervalMs !== undefined && { longestIntervalMs }),
    ...(longestStartMs !== undefined && { longestStartMs }),
  };
}
