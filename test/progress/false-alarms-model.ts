import type { Heartbeat } from '../../src/progress/types.js';
import { type Chance, chanceOf } from './false-alarms-chance.js';

/*
 * What trainings print and when, in virtual time (ms). Nothing here knows the rule that judges silence. Where the figures
 * come from:
 * - Steps of 50 ms (small models) to 40 s (frontier runs), log-normal; now and then a step waits for storage, a straggler
 *   or a retry, for 5 s or longer, Pareto distributed with a tail index of 1.1 (an infinite variance), cut at 10 minutes:
 *   longer than that PyTorch's own watchdog aborts a collective (its default).
 * - Lines every 1, 10, 50, 100 or 500 steps (500 is Hugging Face's logging_steps), at most 30 minutes apart; half of them
 *   print none for the first step.
 * - Starts from seconds to 50 minutes (imports on a cold network file system, sharded loads, torch.compile, XLA, TensorRT),
 *   log-normal around 90 s; a later one may be far longer than the first (another node, a cold cache).
 * - Evaluations every 5 minutes to 12 hours, of 20 s to 40 minutes (generation over a whole test set), with a little
 *   noise and growing by up to 5 % each time, silent but for two fifths that move a progress bar; nobody evaluates for
 *   longer than he trains. Three in ten end with an evaluation or export that was never seen before.
 * - Saves every 10 minutes to 4 hours, of 2 s to 15 minutes; in a fifth the folder does not show it (gathered in memory
 *   first, or written elsewhere and renamed).
 * - One in five reports its phase, that last evaluation's too; whose lines are written for a supervisor prints one every 5
 *   minutes at least. One in ten stands still with its host for a minute to 8 hours.
 * - They fail every 12 hours on average and are launched again, four times at most.
 */

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

/** Where a training stops for good. */
export type Place = 'start' | 'step' | 'eval' | 'save';

/** Something that can be seen of an attempt; times count from its launch. */
export type Sight =
  | { readonly type: 'beat'; readonly at: number; readonly heartbeat: Heartbeat }
  /** The checkpoint folder was seen to have grown. */
  | { readonly type: 'growth'; readonly at: number }
  /** Host and worker stood still until now. */
  | { readonly type: 'pause'; readonly at: number; readonly ms: number }
  /** `hang`: nothing comes from here on. */
  | { readonly type: 'end'; readonly at: number; readonly how: 'done' | 'crash' }
  | { readonly type: 'hang'; readonly at: number; readonly place: Place };

/** How one training behaves. */
export interface Training {
  readonly reportsPhase: boolean;
  /** Between two lines. */
  readonly lineMs: number;
  /** The first line comes only once so many steps as between two lines are done. */
  readonly firstLate: boolean;
  readonly noise: number;
  readonly stallChance: number;
  readonly startMs: number;
  readonly evals?: {
    readonly everyMs: number;
    readonly ms: number;
    readonly growth: number;
    readonly bar: boolean;
  };
  readonly saves: { readonly everyMs: number; readonly ms: number; readonly visible: boolean };
  readonly lastMs: number;
  readonly totalMs: number;
  readonly pauses: boolean;
  /** Where it hangs, if it does. */
  readonly hangs?: Place;
}

export function drawTraining(chance: Chance): Training {
  const reportsPhase = chance.happens(0.2);
  let lineMs: number;
  do lineMs = chance.logUniform(0.05, 40) * second * chance.oneOf([1, 10, 50, 100, 500]);
  while (lineMs > (reportsPhase ? 5 : 30) * minute);
  const everyMs = chance.logUniform(5 * minute, 12 * hour);
  return {
    reportsPhase,
    lineMs,
    firstLate: chance.happens(0.5),
    noise: chance.uniform(0.05, 0.4),
    stallChance: chance.logUniform(1e-4, 1e-2),
    startMs: clamp(90 * second * chance.logNormal(1.2), 5 * second, 50 * minute),
    ...(chance.happens(0.7) && {
      evals: {
        everyMs,
        ms: Math.min(chance.logUniform(20 * second, 30 * minute), everyMs),
        growth: chance.uniform(0, 0.05),
        bar: chance.happens(0.4),
      },
    }),
    saves: {
      everyMs: chance.logUniform(10 * minute, 4 * hour),
      ms: chance.logUniform(2 * second, 12 * minute),
      visible: chance.happens(0.8),
    },
    lastMs: chance.happens(0.3) ? chance.logUniform(minute, 40 * minute) : 0,
    totalMs: chance.logUniform(hour, 48 * hour),
    pauses: chance.happens(0.1),
    ...(chance.happens(0.5) && { hangs: chance.oneOf<Place>(['start', 'step', 'step', 'step', 'eval', 'save']) }),
  }; // prettier-ignore
}

/**
 * What is seen of one attempt.
 * @param leftMs how long the training still takes
 * @param hangs whether it hangs in this attempt
 */
export function* attemptOf(
  training: Training,
  chance: Chance,
  leftMs: number,
  hangs: boolean,
): Generator<Sight> {
  const { reportsPhase, lineMs, evals, saves } = training;
  const phase = (name: 'train' | 'eval' | 'checkpoint'): Partial<Heartbeat> =>
    reportsPhase ? { phase: name } : {};
  const crashMs = chance.exponential(12 * hour);
  const hangMs = hangs ? chance.uniform(0, Math.min(leftMs, crashMs)) : Infinity;
  const pauseMs = training.pauses ? chance.uniform(0, leftMs) : Infinity;
  // lines of fast trainings are put together, so that a run is a few thousand sights
  const lines = Math.max(1, Math.floor(leftMs / 3000 / lineMs));
  let at = 0;
  let [step, evalAt, saveAt, evalsDone, paused] = [0, evals?.everyMs ?? Infinity, saves.everyMs, 0, false];
  const beat = (heartbeat: Partial<Heartbeat>): Sight => ({ type: 'beat', at, heartbeat: { metrics: {}, ...heartbeat } }); // prettier-ignore

  if (hangs && training.hangs === 'start') {
    const before = chance.uniform(0, training.startMs);
    yield { type: 'hang', at: before, place: 'start' };
    return;
  }
  at = clamp(training.startMs * chance.logNormal(0.4), 3 * second, 50 * minute);
  if (training.firstLate) at += lineMs * chance.logNormal(training.noise);
  for (;;) {
    yield beat({ step: ++step, loss: 1, ...phase('train') });
    const due = at >= hangMs;
    if (due && training.hangs === 'step') {
      yield { type: 'hang', at: at + chance.uniform(0, lineMs), place: 'step' };
      return;
    }
    if (at >= crashMs && !hangs) {
      yield { type: 'end', at, how: 'crash' };
      return;
    }
    if (at >= leftMs && !hangs) {
      if (reportsPhase && training.lastMs > 0) yield beat(phase('eval'));
      yield* silence(training.lastMs, false, undefined);
      yield { type: 'end', at, how: 'done' };
      return;
    }
    if (evals && at >= evalAt) {
      if (reportsPhase) yield beat(phase('eval'));
      const ms = Math.min(evals.ms * (1 + evals.growth) ** evalsDone++ * chance.logNormal(0.15), 40 * minute);
      if (due && training.hangs === 'eval') {
        yield { type: 'hang', at: at + chance.uniform(0, ms), place: 'eval' };
        return;
      }
      yield* silence(ms, evals.bar, undefined);
      evalAt = at + evals.everyMs;
    }
    if (at >= saveAt) {
      if (reportsPhase) yield beat(phase('checkpoint'));
      const ms = Math.min(saves.ms * chance.logNormal(0.2), 15 * minute);
      const cut = due && training.hangs === 'save' ? chance.uniform(0, ms) : undefined;
      yield* silence(cut ?? ms, false, saves.visible);
      if (cut !== undefined) {
        yield { type: 'hang', at, place: 'save' };
        return;
      }
      saveAt = at + saves.everyMs;
    }
    // a run that should hang in an evaluation, and makes none
    if (due && at > hangMs + 12 * hour) {
      yield { type: 'hang', at, place: 'step' };
      return;
    }
    if (at >= pauseMs && !paused) {
      paused = true;
      const ms = chance.logUniform(minute, 8 * hour);
      at += ms;
      yield { type: 'pause', at, ms };
    }
    at += lineMs * lines * chance.logNormal(training.noise / Math.sqrt(lines)) + stall(training, chance);
  }

  /** Time in which no step is reported. */
  function* silence(ms: number, bar: boolean, visible: boolean | undefined): Generator<Sight> {
    const end = at + ms;
    if (bar)
      for (at += chance.uniform(5, 60) * second; at < end; at += 30 * second) yield beat({ bar: true });
    if (visible) for (at += 30 * second; at < end; at += 30 * second) yield { type: 'growth', at };
    at = end;
  }
}

const stall = ({ stallChance }: Training, chance: Chance): number =>
  chance.happens(stallChance) ? Math.min(chance.pareto(5 * second, 1.1), 10 * minute) : 0;

const clamp = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));

export { chanceOf };
