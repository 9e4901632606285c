import { learn } from '../../src/policy/timing.js';
import { extend, fold, noteLife, startProgress, summarize } from '../../src/progress/fold.js';
import { silenceDeadline } from '../../src/progress/silence.js';
import type { Progress, TimingHistory } from '../../src/progress/types.js';
import { attemptOf, chanceOf, drawTraining, type Place, type Training } from './false-alarms-model.js';

/** How one simulated run was judged. Times in ms. */
export interface Outcome {
  readonly seed: number;
  readonly training: Training;
  /** After what silence it was killed although it was healthy. */
  readonly falselyKilledAfter?: number;
  readonly hang?: {
    readonly place: Place;
    /** From the moment it stood still; undefined: it is only warned of, since this run never showed progress. */
    readonly foundAfter?: number;
    readonly warnedAfter: number;
  };
  /** Which fixed bounds on silence would have killed it while it was healthy. */
  readonly fixedKills: readonly number[];
}

const minute = 60_000;
/** What others use: NVRx 45 minutes; 10 minutes is PyTorch's own for a collective. */
export const fixedBounds = [10 * minute, 45 * minute] as const;

/** Runs a training in virtual time over the real folding, judging and learning. */
export function simulate(seed: number): Outcome {
  const chance = chanceOf(seed);
  const training = drawTraining(chance);
  const fixedKills = new Set<number>();
  let timing: TimingHistory = { everProgressed: false, longestPhaseMs: {} };
  let leftMs = training.totalMs;
  const hangsIn = training.hangs === undefined ? -1 : chance.oneOf([0, 0, 1, 2]);
  for (let attempt = 0; ; attempt++) {
    let progress: Progress = startProgress({ at: 0, mono: 0 });
    let lastSeen = 0;
    for (const sight of attemptOf(training, chance, leftMs, attempt === hangsIn)) {
      const { at } = sight;
      const due = silenceDeadline({}, progress, timing);
      const instant = { at, mono: at };
      // time that the host stood still is given back before silence is judged
      if (sight.type === 'pause') {
        progress = extend(progress, sight.ms);
        lastSeen += sight.ms;
        continue;
      }
      for (const bound of fixedBounds)
        if (at - lastSeen > bound && sight.type !== 'hang') fixedKills.add(bound);
      if (due?.hangAtMono !== undefined && at > due.hangAtMono)
        return {
          seed,
          training,
          falselyKilledAfter: due.hangAtMono - (progress.lastProgressMono ?? 0),
          fixedKills: [...fixedKills],
        };
      if (sight.type === 'hang') {
        const foundAfter = due?.hangAtMono === undefined ? undefined : due.hangAtMono - at;
        const warnedAfter = (due?.warnAtMono ?? Infinity) - at;
        const hang = { place: sight.place, warnedAfter, ...(foundAfter !== undefined && { foundAfter }) };
        return { seed, training, hang, fixedKills: [...fixedKills] };
      }
      if (sight.type === 'beat') progress = fold(progress, sight.heartbeat, instant);
      else if (sight.type === 'growth') progress = noteLife(progress, instant, 'checkpoint-growth');
      if (sight.type === 'beat') lastSeen = at;
      if (sight.type === 'end') {
        if (sight.how === 'done' || (attempt >= 3 && hangsIn < attempt))
          return { seed, training, fixedKills: [...fixedKills] };
        leftMs = Math.max(10 * minute, leftMs - at);
      }
    }
    timing = { ...learn(timing, summarize(progress), undefined), everProgressed: true };
  }
}

/** The value that this part of them does not exceed. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] ?? NaN;
}
