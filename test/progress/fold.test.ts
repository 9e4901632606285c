import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { extend, fold, noteLife, startProgress, summarize } from '../../src/progress/fold.js';
import type { Heartbeat, Progress } from '../../src/progress/types.js';

type Fields = Omit<Heartbeat, 'metrics'>;
const wall = 1_700_000_000_000;

/** Folds heartbeats that arrive at the given monotonic ms of an attempt launched at 1000. */
function after(...beats: readonly (readonly [mono: number, fields: Fields])[]): Progress {
  let progress = startProgress({ at: wall, mono: 1000 });
  for (const [mono, fields] of beats) {
    progress = fold(progress, { ...fields, metrics: {} }, { at: wall + mono, mono });
  }
  return progress;
}

describe('what counts as progress', () => {
  const cases: readonly [name: string, beats: readonly (readonly [number, Fields])[], last: number | undefined][] = [
    ['nothing yet', [], undefined],
    ['a first step', [[2000, { step: 5 }]], 2000],
    ['a step gone up', [[2000, { step: 5 }], [3000, { step: 6 }]], 3000],
    ['not the same step again', [[2000, { step: 5 }], [3000, { step: 5 }]], 2000],
    ['not a step gone back', [[2000, { step: 5 }], [3000, { step: 1 }]], 2000],
    ['up again after it went back', [[2000, { step: 5 }], [3000, { step: 1 }], [4000, { step: 2 }]], 4000],
    ['an epoch gone up while steps begin anew', [[2000, { epoch: 1, step: 5 }], [3000, { epoch: 2, step: 0 }]], 3000],
    ['any heartbeat while no step was ever reported', [[2000, { loss: 1 }], [3000, { loss: 1 }]], 3000],
    ['not one without a step after steps', [[2000, { step: 1 }], [3000, { loss: 1 }]], 2000],
    ['a change of phase', [[2000, { step: 1, phase: 'train' }], [3000, { phase: 'eval' }]], 3000],
    ['not the same phase again', [[2000, { step: 1, phase: 'eval' }], [3000, { phase: 'eval' }]], 2000],
    ['not the announcement of a start', [[2000, { phase: 'startup' }]], undefined],
    ['the end of an announced start', [[2000, { phase: 'startup' }], [3000, { phase: 'train' }]], 3000],
    ['the end of the steps', [[2000, { step: 1 }], [3000, { phase: 'done' }]], 3000],
    ['not the end of what never began', [[2000, { phase: 'done' }]], undefined],
    ['another rank while none leads', [[2000, { step: 1, rank: 2 }]], 2000],
    ['not another rank after rank 0', [[2000, { step: 1, rank: 0 }], [3000, { step: 2, rank: 2 }]], 2000],
    ['not another rank after one without rank', [[2000, { step: 1 }], [3000, { step: 2, rank: 2 }]], 2000],
  ]; // prettier-ignore
  for (const [name, beats, last] of cases) {
    test(name, () => assert.equal(after(...beats).lastProgressMono, last));
  }
});

test('what is no progress is life all the same', () => {
  const progress = after([2000, { step: 5, rank: 0 }], [3000, { step: 6, rank: 1 }]);
  assert.equal(progress.lastLifeMono, 3000);
  assert.equal(progress.lastHeartbeatAt, wall + 3000);
  assert.equal(progress.heartbeats, 2);
  assert.equal(progress.step, 5);
});

test('a run that never reported a step has no step', () => {
  const summary = summarize(after([2000, { loss: 2 }]));
  assert.ok(!('lastStep' in summary) && !('firstStep' in summary));
});

test('sums an attempt up', () => {
  const progress = after(
    [3000, { step: 10, totalSteps: 50, loss: 2, phase: 'train' }],
    [3500, { step: 11, phase: 'train' }],
    [3600, { phase: 'eval' }],
    [7600, { step: 12, loss: 1, phase: 'train' }],
  );
  assert.deepEqual(summarize(progress), {
    heartbeats: 4,
    firstStep: 10,
    lastStep: 12,
    totalSteps: 50,
    loss: 1,
    startMs: 2000,
    trainMs: 4600,
    longestIntervalMs: 4000,
    longestPhaseMs: { train: 500, eval: 4000 },
  });
});

test('a step beyond all others without a phase ends an evaluation', () => {
  const evaluating = after([2000, { step: 1, phase: 'train' }], [3000, { phase: 'eval' }]);
  assert.equal(evaluating.phase, 'eval');
  assert.equal(fold(evaluating, { step: 1, metrics: {} }, { at: 0, mono: 4000 }).phase, 'eval');
  assert.equal(fold(evaluating, { step: 2, metrics: {} }, { at: 0, mono: 4000 }).phase, 'train');
});

test('a step gone back is noted and nothing else', () => {
  const progress = after([2000, { step: 1200 }], [3000, { step: 40 }]);
  assert.equal(progress.wentBack?.reason, 'the step went back from 1,200 to 40');
  assert.equal(progress.unhealthy, undefined);
  assert.equal(progress.maxStep, 1200);
});

test('the given progress is never changed', () => {
  const before = after([2000, { step: 1, loss: 1, phase: 'train' }]);
  const copy = structuredClone(before);
  fold(before, { step: 2, loss: NaN, phase: 'eval', metrics: {} }, { at: 0, mono: 9000 });
  noteLife(before, { at: 0, mono: 9000 }, 'checkpoint-growth');
  extend(before, 50);
  assert.deepEqual(before, copy);
});

test('survives JSON', () => {
  const progress = after([2000, { step: 1, loss: NaN }], [3000, { step: 2, loss: NaN, gradNorm: Infinity }]);
  assert.deepEqual(JSON.parse(JSON.stringify(progress)), progress);
});

test('lines are life to a tenth of a second, growth pauses the clock', () => {
  const progress = after([2000, { step: 1 }]);
  assert.equal(noteLife(progress, { at: 0, mono: 2050 }), progress);
  assert.equal(noteLife(progress, { at: 0, mono: 2100 }).lastLifeMono, 2100);
  const grown = noteLife(progress, { at: 0, mono: 2050 }, 'checkpoint-growth');
  assert.equal(grown.graceFromMono, 2050);
  assert.equal(grown.lastProgressMono, 2000);
});

test('time not held against the worker counts nowhere', () => {
  const slept = extend(after([2000, { step: 1 }], [3000, { step: 2 }]), 60_000);
  const progress = fold(slept, { step: 3, metrics: {} }, { at: 0, mono: 64_000 });
  const { startMs, trainMs, longestIntervalMs } = summarize(progress);
  assert.deepEqual(
    { startMs, trainMs, longestIntervalMs },
    { startMs: 1000, trainMs: 2000, longestIntervalMs: 1000 },
  );
});

test('a million heartbeats leave no more behind than a hundred', () => {
  let progress = startProgress({ at: wall, mono: 0 });
  let early = 0;
  for (let step = 0; step < 1_000_000; step++) {
    progress = fold(progress, { step, loss: 1.5, metrics: {} }, { at: wall + step, mono: step });
    if (step === 100) early = JSON.stringify(progress).length;
  }
  assert.equal(progress.step, 999_999);
  assert.ok(JSON.stringify(progress).length < early + 100);
});
