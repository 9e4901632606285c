import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkContext, oddStep, stepOf } from '../../src/recovery/context.js';

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
    [{ epoch: Number.NaN }, 'context.epoch must be a number from 0 to 9007199254740991, not NaN.'],
    [{ runId: 7 }, 'context.runId must be a text, not 7.'],
    [{ modelId: '' }, 'context.modelId must not be empty, not "".'],
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

  test('a number that is no step is let pass, counts as unknown, and is told', () => {
    for (const step of [Number.NaN, 12.5, -1, Infinity]) {
      const context = checkContext({ step });
      assert.equal(stepOf(context), undefined);
      assert.equal(oddStep(context), `context.step is "${step}", which is no whole number from 0 on: the step counts as unknown`); // prettier-ignore
    }
    assert.deepEqual([stepOf({ step: 7 }), oddStep({ step: 7 }), oddStep({})], [7, undefined, undefined]);
  });
});
