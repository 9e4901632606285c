import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fold, startProgress } from '../../src/progress/fold.js';
import type { Heartbeat, Progress } from '../../src/progress/types.js';

type Fields = Omit<Heartbeat, 'metrics'> & { readonly metrics?: Heartbeat['metrics'] };

function after(...beats: readonly Fields[]): Progress {
  let progress = startProgress({ at: 0, mono: 0 });
  for (const [index, fields] of beats.entries()) {
    progress = fold(progress, { metrics: {}, ...fields }, { at: index, mono: index });
  }
  return progress;
}

const losses = (count: number, loss = 1): Fields[] =>
  Array.from({ length: count }, (_, step) => ({ step, loss }));

describe('non-finite numbers', () => {
  const cases: readonly [name: string, beats: readonly Fields[], badStep: number | undefined | 'healthy'][] = [
    ['two losses in a row', [{ step: 1, loss: 1 }, { step: 2, loss: NaN }, { step: 3, loss: NaN }], 2],
    ['infinity is no better', [{ step: 2, loss: Infinity }, { step: 3, loss: -Infinity }], 2],
    ['one loss is not enough', [{ step: 2, loss: NaN }], 'healthy'],
    ['a good one between', [{ step: 2, loss: NaN }, { step: 3, loss: 1 }, { step: 4, loss: NaN }], 'healthy'],
    ['a heartbeat without a loss between changes nothing', [{ step: 2, loss: NaN }, { step: 3 }, { step: 4, loss: NaN }], 2],
    ['two ranks that report the same step are one', [{ step: 2, loss: NaN }, { step: 2, loss: NaN }], 'healthy'],
    ['without steps', [{ loss: NaN }, { loss: NaN }], undefined],
    ['evaluation never counts', [{ step: 1, phase: 'eval', loss: NaN }, { loss: NaN }, { loss: NaN }], 'healthy'],
    ['nor do its metrics', [{ step: 1, metrics: { eval_loss: NaN } }, { step: 2, metrics: { eval_loss: NaN } }], 'healthy'],
    ['other ranks do not count beside a leading one', [{ step: 1, loss: 1 }, { step: 2, loss: NaN, rank: 1 }, { step: 3, loss: NaN, rank: 1 }], 'healthy'],
    ['19 gradient norms', Array.from({ length: 19 }, (_, i) => ({ step: i + 5, loss: 1, gradNorm: Infinity })), 'healthy'],
    ['20 gradient norms', Array.from({ length: 20 }, (_, i) => ({ step: i + 5, loss: 1, gradNorm: Infinity })), 5],
    ['gradient overflow now and then (fp16 loss scaling)', Array.from({ length: 60 }, (_, i) => ({ step: i, loss: 1, gradNorm: i % 10 === 9 ? 1 : NaN })), 'healthy'],
  ]; // prettier-ignore
  for (const [name, beats, badStep] of cases) {
    test(name, () => {
      const { unhealthy, firstBadStep } = after(...beats);
      if (badStep === 'healthy') assert.equal(unhealthy, undefined);
      else {
        assert.ok(unhealthy);
        assert.equal(unhealthy.step, badStep);
        assert.equal(firstBadStep, badStep);
      }
    });
  }

  test('says what it saw', () => {
    const { unhealthy } = after({ step: 1199, loss: NaN }, { step: 1200, loss: NaN });
    assert.deepEqual(unhealthy, {
      kind: 'non-finite-loss',
      step: 1199,
      at: 0,
      reason:
        'the training loss was NaN, not a number to train with, in 2 heartbeats in a row, from step 1,199',
    });
  });

  test('stays unhealthy, with its first finding', () => {
    const sick = after({ step: 1, loss: NaN }, { step: 2, loss: NaN });
    const later = fold(sick, { step: 3, loss: 1, metrics: {} }, { at: 9, mono: 9 });
    assert.equal(later.unhealthy, sick.unhealthy);
    assert.equal(later.firstBadStep, 1);
  });

  test('a bad row that ended leaves no first bad step', () => {
    assert.equal(after({ step: 1, loss: NaN }, { step: 2, loss: 1 }).firstBadStep, undefined);
  });
});

describe('loss spikes', () => {
  test('above 5 times the median of at least 20', () => {
    const { spike, unhealthy } = after(...losses(20), { step: 20, loss: 6 });
    assert.equal(unhealthy, undefined);
    assert.deepEqual(spike, {
      kind: 'loss-spike',
      step: 20,
      reason: 'the training loss jumped to 6.000, 6.0 times its recent median, at step 20',
    });
  });

  test('not with fewer, nor below', () => {
    assert.equal(after(...losses(19), { step: 20, loss: 60 }).spike, undefined);
    assert.equal(after(...losses(40), { step: 40, loss: 5 }).spike, undefined);
  });

  test('not where the median is no scale', () => {
    assert.equal(after(...losses(40, -1), { step: 40, loss: 60 }).spike, undefined);
  });

  test('a row of high losses is one spike, a later one is another', () => {
    const first = after(...losses(30), { step: 30, loss: 9 });
    const second = fold(first, { step: 31, loss: 9, metrics: {} }, { at: 0, mono: 40 });
    assert.equal(second.spike, first.spike);
    const calm = fold(second, { step: 32, loss: 1, metrics: {} }, { at: 0, mono: 41 });
    const again = fold(calm, { step: 33, loss: 9, metrics: {} }, { at: 0, mono: 42 });
    assert.equal(again.spike?.step, 33);
  });
});
