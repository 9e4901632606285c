import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkContext, oddFields, stepOf } from '../../src/recovery/context.js';

describe('the context of a recovery', () => {
  test('every field of the schema, and others, stay as they are', () => {
    const whole = {
      ...{ runId: 'digits', attempt: 2, step: 120, epoch: 1.5, modelId: 'resnet', lastCheckpointPath: null },
      ...{ error: new Error('x'), learningRate: 0.1, nested: { deep: [1] } },
    };
    assert.equal(checkContext(whole), whole);
    assert.deepEqual(checkContext({}), {});
  });

  const wrong: readonly [unknown, string][] = [
    [{ step: 'ten' }, 'context.step must be a whole number from 0, not "ten".'],
    [{ attempt: -1 }, 'context.attempt must be a whole number from 0 to 1000000000, not -1.'],
    [{ runId: 7 }, 'context.runId must be a text, not 7.'],
    [{ lastCheckpointPath: {} }, 'context.lastCheckpointPath must be a text, not {}.'],
    [null, 'context must be an object.'],
    ['digits', 'context must be an object.'],
    [[], 'context must be an object.'],
    [
      Object.freeze({}),
      'context must not be frozen: recover writes attempt, error and lastCheckpointPath into it.',
    ],
  ];
  for (const [context, message] of wrong)
    test(message, () => {
      const cause = new Error('what it died of');
      assert.throws(() => checkContext(context, cause), { name: 'TypeError', message, cause });
    });

  test('what only the caller reads never hides what the training died of: it is told', () => {
    const told = (context: object): readonly string[] => oddFields(checkContext(context));
    assert.deepEqual(told({ epoch: Number.NaN, modelId: 7 }), [
      'context.epoch is "NaN", which is no number from 0 on: it counts as unknown',
      'context.modelId is "7", which is no name: it counts as unknown',
    ]);
    for (const epoch of [-1, Infinity, 'three', null, {}, Symbol('x'), 1n])
      assert.equal(told({ epoch }).length, 1, typeof epoch);
    assert.equal(told({ modelId: '' }).length, 1);
    assert.deepEqual(told({ epoch: 1.5, modelId: 'resnet' }), []);
  });

  test('a number that is no step is let pass, counts as unknown, and is told', () => {
    for (const step of [Number.NaN, 12.5, -1, Infinity]) {
      const context = checkContext({ step });
      assert.equal(stepOf(context), undefined);
      assert.deepEqual(oddFields(context), [
        `context.step is "${step}", which is no whole number from 0 on: it counts as unknown`,
      ]);
    }
    assert.deepEqual([stepOf({ step: 7 }), oddFields({ step: 7 }), oddFields({})], [7, [], []]);
  });
});
