import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecoveryManager } from '../../src/recovery/manager.js';
import { resolveLimits, resolveOptions } from '../../src/recovery/options.js';

test('what is left out is the default, and the timeout three intervals', () => {
  const checkpoints = { checkpointDir: 'checkpoints', keepCheckpoints: 3 };
  assert.deepEqual(resolveOptions({}), {
    times: { heartbeatTimeoutMs: 15_000, maxFailures: 3 },
    ...checkpoints,
  });
  assert.deepEqual(resolveOptions({ heartbeatInterval: 2, maxFailures: undefined }), {
    times: { heartbeatTimeoutMs: 6000, maxFailures: 3 },
    ...checkpoints,
  });
  assert.deepEqual(
    resolveOptions({
      heartbeatInterval: 0.1,
      heartbeatTimeout: 0.5,
      maxFailures: 0,
      checkpointDir: '/c',
      keepCheckpoints: 1,
    }),
    { times: { heartbeatTimeoutMs: 500, maxFailures: 0 }, checkpointDir: '/c', keepCheckpoints: 1 },
  );
});

test("a worker's limits hold only what it brings", () => {
  assert.deepEqual(resolveLimits({}), {});
  assert.deepEqual(resolveLimits({ heartbeatInterval: 1 }), { heartbeatTimeoutMs: 3000 });
  assert.deepEqual(resolveLimits({ heartbeatInterval: 1, heartbeatTimeout: 10, maxFailures: 9 }), {
    heartbeatTimeoutMs: 10_000,
    maxFailures: 9,
  });
});

const refused: readonly [unknown, RegExp][] = [
  [
    { heartbeatInterval: 0 },
    /^RangeError: heartbeatInterval is a number of seconds above 0, up to 2073600 \(24 days\), not 0$/,
  ],
  [{ heartbeatInterval: -1 }, /^RangeError: heartbeatInterval is .*, not -1$/],
  [{ heartbeatInterval: NaN }, /^RangeError: heartbeatInterval is .*, not NaN$/],
  [
    { heartbeatTimeout: Infinity },
    /^RangeError: heartbeatTimeout is a number of seconds above 0, up to 2073600 \(24 days\), not Infinity$/,
  ],
  [{ heartbeatTimeout: Number.MAX_VALUE }, /^RangeError: heartbeatTimeout is .*\(24 days\), not 1\.79/],
  [{ heartbeatInterval: 2_073_601 }, /^RangeError: heartbeatInterval is .*\(24 days\), not 2073601$/],
  [{ heartbeatTimeout: '5' }, /^TypeError: heartbeatTimeout is a number of seconds above 0, .*, not "5"$/],
  [{ heartbeatTimeout: null }, /^TypeError: heartbeatTimeout is .*, not null$/],
  [
    { heartbeatInterval: 5, heartbeatTimeout: 3 },
    /^RangeError: heartbeatTimeout is at least heartbeatInterval \(5 seconds\), not 3$/,
  ],
  [
    { heartbeatTimeout: 1 },
    /^RangeError: heartbeatTimeout is at least heartbeatInterval \(5 seconds unless given\), not 1; if workers beat more often, say so by heartbeatInterval$/,
  ],
  [{ maxFailures: -1 }, /^RangeError: maxFailures is a whole number from 0 on, not -1$/],
  [{ maxFailures: 1.5 }, /^RangeError: maxFailures is .*, not 1\.5$/],
  [{ maxFailures: true }, /^TypeError: maxFailures is .*, not true$/],
  [{ keepCheckpoints: 0 }, /^RangeError: keepCheckpoints is a whole number from 1 on, not 0$/],
  [{ checkpointDir: '' }, /^RangeError: checkpointDir is a path, not ""$/],
  [{ checkpointDir: ['a'] }, /^TypeError: checkpointDir is a path, not a list$/],
  [
    { heartbeatIntervall: 5 },
    /^TypeError: .*RecoveryManager have no "heartbeatIntervall": did you mean heartbeatInterval\?$/,
  ],
  [
    { colour: 1 },
    /^TypeError: .* have no "colour": there are heartbeatInterval, heartbeatTimeout, maxFailures, .*$/,
  ],
  [{ toString: 1 }, /have no "toString"/],
  [null, /^TypeError: the options of RecoveryManager are an object, not null$/],
  [[], /are an object, not a list$/],
  [5, /are an object, not 5$/],
];
for (const [options, message] of refused) {
  test(`options that are refused: ${JSON.stringify(options)}`, () => {
    assert.throws(() => new RecoveryManager(options as object), message);
  });
}

test("a worker's limits are held to the same, and have no options of the manager", () => {
  assert.throws(() => resolveLimits({ heartbeatTimeout: 0 }), /^RangeError: heartbeatTimeout is/);
  const limits = { checkpointDir: 'x' } as object;
  assert.throws(() => resolveLimits(limits), /^TypeError: the limits of a worker have no "checkpointDir"/);
});
