import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { failureKind } from '../../src/config/values.js';
import type { RecoveryKind } from '../../src/recovery/decision.js';
import { RecursiveTrainingRecovery, type RecoveryContext, type RecoveryStrategies } from '../../src/recovery/recursive.js'; // prettier-ignore
import { recoveryKinds } from '../../src/recovery/strategies.js';

const oom = (): Error => new Error('CUDA out of memory. Tried to allocate 2.00 GiB');

function recovery(
  strategies: RecoveryStrategies,
  retry: (context: RecoveryContext) => unknown = () => undefined,
): RecursiveTrainingRecovery {
  return new RecursiveTrainingRecovery({ backoff: { initial: 0 }, retry, strategies });
}

test('there is a strategy for every kind of the command, and for convergence', () => {
  assert.deepEqual(recoveryKinds.toSorted(), [...failureKind.options, 'convergence'].toSorted());
});

describe('strategies by kind', () => {
  test('prepare is called before the retry, and sees the failure', async () => {
    const seen: unknown[] = [];
    const prepare = (context: RecoveryContext, { kind }: { kind: RecoveryKind }): void => {
      context['batchSize'] = Number(context['batchSize']) / 2;
      seen.push(kind);
    };
    const one = recovery({ 'gpu-memory': { prepare } }, (context) => seen.push(context['batchSize']));
    assert.equal(await one.recover(oom(), { batchSize: 64 }), true);
    assert.equal(await one.recover(new Error('boom'), { batchSize: 64 }), true);
    assert.deepEqual(seen, ['gpu-memory', 32, 64]);
  });

  test('what prepare throws is the next failure', async () => {
    const one = recovery({ 'gpu-memory': { prepare: () => Promise.reject(new Error('loss is nan')) } });
    assert.equal(await one.recover(oom()), true);
    assert.equal(one.getRecoveryStatus().lastFailure?.kind, 'numeric');
  });

  test('retry false gives up, retry true does what the table would not', async () => {
    assert.equal(await recovery({ 'gpu-memory': { retry: false } }).recover(oom()), false);
    const code = Object.assign(new Error("Cannot find package 'x'"), { code: 'ERR_MODULE_NOT_FOUND' });
    assert.equal(await recovery({}).recover(code), false);
    assert.equal(await recovery({ code: { retry: true } }).recover(code), true);
  });

  const wrong: readonly [unknown, RegExp][] = [
    [{ 'gpu-memry': {} }, /^there is no key strategies\.gpu-memry; did you mean strategies\.gpu-memory\?$/],
    [{ success: {} }, /^there is no key strategies\.success; known here: /],
    [{ gpu: { retry: 'yes' } }, /^strategies\.gpu\.retry must be true or false, not "yes"\.$/],
    [{ gpu: { prepare: 1 } }, /^strategies\.gpu\.prepare must be a function, not 1\.$/],
    ['all', /^strategies must be a function, or a table of strategies by kind of failure, not "all"\.$/],
  ];
  for (const [strategies, message] of wrong)
    test(String(message), () => {
      assert.throws(() => recovery(strategies as RecoveryStrategies), { name: 'TypeError', message });
    });
});

describe('strategies as a function', () => {
  test('it is asked about each failure, and nothing from it means the usual', async () => {
    const asked: string[] = [];
    const failures = [new Error('loss is nan'), oom()];
    const one = recovery(
      ({ kind }, context) => {
        asked.push(`${kind} at ${context.step}`);
        return Promise.resolve(kind === 'gpu-memory' ? { retry: false } : undefined);
      },
      () => {
        const next = failures.shift();
        if (next) throw next;
      },
    );
    assert.equal(await one.recover(new Error('boom'), { step: 7 }), false);
    assert.deepEqual(asked, ['exception at 7', 'numeric at 7', 'gpu-memory at 7']);
  });

  test('what it throws is told, and the table decides', async () => {
    const told: string[] = [];
    const one = new RecursiveTrainingRecovery({
      ...{ backoff: { initial: 0 }, retry: () => undefined },
      strategies: () => Promise.reject(new RangeError('no such strategy')),
      onEvent: (event) => event.type === 'notice' && told.push(event.text),
    });
    assert.equal(await one.recover(new Error('x')), true);
    assert.equal(told[0], 'strategies threw, so the usual is done: RangeError: no such strategy');
    const code = Object.assign(new Error("Cannot find package 'x'"), { code: 'ERR_MODULE_NOT_FOUND' });
    assert.equal(await one.recover(code), false);
  });
});
