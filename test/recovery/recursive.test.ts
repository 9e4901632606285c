import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, test } from 'node:test';
import { RecursiveTrainingRecovery, type RecoveryContext, type RecursiveRecoveryEvent, type RecursiveTrainingRecoveryConfig } from '../../src/recovery/recursive.js'; // prettier-ignore
import { eventually } from '../support/eventually.js';

/** Time that passes at once, and what was waited for. */
function virtualTime(random = 0): {
  waited: number[];
  internals: { after: (ms: number, call: () => void) => () => void; random: () => number };
} {
  const waited: number[] = [];
  const after = (ms: number, call: () => void): (() => void) => {
    waited.push(ms);
    let wanted = true;
    queueMicrotask(() => {
      if (wanted) call();
    });
    return () => {
      wanted = false;
    };
  };
  return { waited, internals: { after, random: () => random } };
}

/** Throws these in turn, then comes through. */
const failing =
  (...errors: unknown[]) =>
  (): void => {
    if (errors.length > 0) throw errors.shift();
  };

const timers = (): number => process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length;

describe('recover', () => {
  test('the retry’s real outcome decides', async () => {
    const { internals, waited } = virtualTime();
    const seen: RecoveryContext[] = [];
    const second = new Error('second');
    const recovery = new RecursiveTrainingRecovery(
      {
        async retry(context) {
          seen.push({ ...context });
          await Promise.resolve();
          if (seen.length < 3) throw second;
        },
      },
      internals,
    );
    const first = new Error('first');
    const context = { runId: 'digits', attempt: 4, epoch: 2, modelId: 'mlp', own: 'field' };
    assert.equal(await recovery.recover(first, context), true);
    assert.deepEqual(seen.map(({ attempt }) => attempt), [5, 6, 7]); // prettier-ignore
    assert.deepEqual(seen.map(({ error }) => error), [first, second, second]); // prettier-ignore
    assert.ok(seen.every(({ own, modelId }) => own === 'field' && modelId === 'mlp'));
    assert.deepEqual(waited, [10_000, 20_000, 40_000]);
    const status = recovery.getRecoveryStatus();
    assert.deepEqual([status.lastRecoveryStatus, status.attempts, status.recovering], ['success', 3, false]);
    assert.match(status.reasons.join('\n'), /^.*Error: first .*; retry 1 of 3\n.*Error: second .*; retry 2 of 3\n.*retry 3 of 3$/); // prettier-ignore
  });

  test('gives up after maxRetries, and the budget is whole again for the next call', async () => {
    const { internals } = virtualTime();
    let calls = 0;
    const retry = (): never => {
      throw new Error(`different each time ${'x'.repeat(calls++)}`);
    };
    const recovery = new RecursiveTrainingRecovery({ maxRetries: 2, retry }, internals);
    for (const total of [2, 4]) {
      assert.equal(await recovery.recover(new Error('x')), false);
      assert.equal(calls, total);
      const { lastRecoveryStatus, attempts, reasons, lastFailure } = recovery.getRecoveryStatus();
      assert.deepEqual([lastRecoveryStatus, attempts, lastFailure?.retry], ['failed', 2, false]);
      assert.match(reasons.at(-1) ?? '', /; gave up: retries used up: 2 of 2$/);
    }
    const none = new RecursiveTrainingRecovery({ maxRetries: 0, retry }, internals);
    assert.equal(await none.recover(new Error('x')), false);
    assert.equal(calls, 4);
  });

  test('what retry throws is judged next: code is never tried again', async () => {
    const { internals, waited } = virtualTime();
    const code = Object.assign(new Error("Cannot find module 'x'"), { code: 'MODULE_NOT_FOUND' });
    const recovery = new RecursiveTrainingRecovery({ retry: failing(code) }, internals);
    assert.equal(await recovery.recover(new Error('connect ECONNREFUSED')), false);
    assert.equal(waited.length, 1);
    assert.equal(recovery.getRecoveryStatus().lastFailure?.kind, 'code');
    const odd = new RecursiveTrainingRecovery({ retry: failing('a text', { odd: 1 }) }, internals);
    assert.equal(await odd.recover(null), true);
  });

  test('the same failure at the same step is given up, also over recoveries that came through', async () => {
    const { internals } = virtualTime();
    const recovery = new RecursiveTrainingRecovery({ retry: () => undefined }, internals);
    const bug = (): Error => new Error('index 7 is out of range');
    const context = { step: 500 };
    const outcomes = [];
    for (let n = 0; n < 3; n++) outcomes.push(await recovery.recover(bug(), context));
    assert.deepEqual(outcomes, [true, true, false]);
    assert.match(
      recovery.getRecoveryStatus().reasons.at(-1) ?? '',
      /at step 500 3 times: it is deterministic/,
    );
    assert.equal(await recovery.recover(bug(), context), true, 'who calls again after that begins anew');
    assert.equal(await recovery.recover(bug(), { step: 501 }), true);
    assert.equal(await recovery.recover(bug(), { step: 502 }), true);
  });

  test('the step that retry leaves in the context is that of its failure', async () => {
    const { internals } = virtualTime();
    const events: RecursiveRecoveryEvent[] = [];
    let step = 10;
    const recovery = new RecursiveTrainingRecovery(
      {
        onEvent: (event) => events.push(event),
        retry(context) {
          context.step = step += 10;
          if (step < 40) throw new Error('boom');
        },
      },
      internals,
    );
    assert.equal(await recovery.recover(new Error('boom'), { step }), true);
    const steps = events.flatMap((event) => (event.type === 'failure' ? [event.step] : []));
    assert.deepEqual(steps, [10, 20, 30]);
    assert.deepEqual(events.at(-1), { type: 'recovered', retries: 3 });
  });

  const listeners: Readonly<Record<string, () => unknown>> = {
    throws() {
      throw new Error('listener');
    },
    rejects: () => Promise.reject(new Error('listener')),
  };
  for (const [does, onEvent] of Object.entries(listeners))
    test(`a listener that ${does} ends nothing, but is warned of`, async () => {
      const { internals } = virtualTime();
      const warned = new Promise<Error>((resolve) => process.once('warning', resolve));
      const recovery = new RecursiveTrainingRecovery({ retry: () => undefined, onEvent }, internals);
      assert.equal(await recovery.recover(new Error('x')), true);
      assert.match((await warned).message, /onEvent of RecursiveTrainingRecovery threw: Error: listener/);
    });

  test('without a folder, a step beyond all earlier ones makes the budget whole; none does not', async () => {
    const outcome = async (grows: boolean): Promise<readonly [boolean, number]> => {
      const { internals, waited } = virtualTime();
      let left = 6;
      const retry = (context: RecoveryContext): void => {
        if (grows) context.step = (context.step ?? 0) + 100;
        if (left-- > 0) throw new Error(`fault ${'x'.repeat(left)}`);
      };
      const recovery = new RecursiveTrainingRecovery({ maxRetries: 2, retry }, internals);
      return [await recovery.recover(new Error('first'), { step: 100 }), waited.length];
    };
    assert.deepEqual(await outcome(true), [true, 7]);
    assert.deepEqual(await outcome(false), [false, 2]);
  });

  test('numbers that went bad three times in a row are given up where there is no folder to go back in', async () => {
    const { internals, waited } = virtualTime();
    const retry = (): never => {
      throw new Error('loss is nan');
    };
    const recovery = new RecursiveTrainingRecovery({ maxRetries: 20, retry }, internals);
    assert.equal(await recovery.recover(new Error('loss is nan'), { step: 40 }), false);
    assert.equal(waited.length, 2);
    assert.match(recovery.getRecoveryStatus().reasons.at(-1) ?? '', /numeric 3 times without getting further, and nothing is gone back to/); // prettier-ignore
  });

  test('a step that is none does not hide what the training died of', async () => {
    const { internals } = virtualTime();
    const events: RecursiveRecoveryEvent[] = [];
    const recovery = new RecursiveTrainingRecovery(
      { retry: () => undefined, onEvent: (event) => events.push(event) },
      internals,
    );
    assert.equal(await recovery.recover(new Error('boom'), { step: Number.NaN }), true);
    assert.match(events[0]?.type === 'notice' ? events[0].text : '', /^context\.step is "NaN"/);
    const error = new Error('boom');
    await assert.rejects(recovery.recover(error, { attempt: Number.NaN }), {
      name: 'TypeError',
      cause: error,
    });
  });
});

describe('backoff', () => {
  const waits = async (
    backoff: RecursiveTrainingRecoveryConfig['backoff'],
    random = 0,
  ): Promise<number[]> => {
    const { internals, waited } = virtualTime(random);
    const retry = failing(...Array.from({ length: 5 }, (_, n) => new Error(`${'x'.repeat(n)} failed`)));
    const recovery = new RecursiveTrainingRecovery({ maxRetries: 6, ...(backoff && { backoff }), retry }, internals); // prettier-ignore
    assert.equal(await recovery.recover(new Error('x')), true);
    return waited;
  };
  test('exact, in the forms of the configuration file', async () => {
    assert.deepEqual(await waits(undefined), [10_000, 20_000, 40_000, 80_000, 160_000, 300_000]);
    assert.deepEqual(await waits({ initial: '100ms', factor: 3, max: 1 }), [100, 300, 900, 1000, 1000, 1000]);
    assert.deepEqual(await waits({ initial: 1, factor: 1, jitter: 0.5 }, 0.5), Array(6).fill(1250));
    assert.deepEqual(await waits({ initial: 0 }), []);
  });

  test('a real timer holds the process, and none is left', async () => {
    const before = timers();
    const recovery = new RecursiveTrainingRecovery({
      backoff: { initial: '20ms' },
      retry: failing(new Error('y')),
    });
    const done = recovery.recover(new Error('x'));
    await eventually(() => timers() > before, 'a timer');
    assert.equal(recovery.getRecoveryStatus().recovering, true);
    assert.equal(await done, true);
    assert.equal(timers(), before);
  });
});

describe('a signal', () => {
  test('ends the wait at once, and takes the timer along', async () => {
    const before = timers();
    const control = new AbortController();
    const retry = (): never => assert.fail('it was told to stop');
    const recovery = new RecursiveTrainingRecovery({
      signal: control.signal,
      backoff: { initial: '1h' },
      retry,
    });
    const done = recovery.recover(new Error('x'));
    await eventually(() => timers() > before, 'a timer');
    control.abort(new Error('the user went home'));
    assert.equal(await done, false);
    assert.equal(timers(), before);
    assert.equal(getEventListeners(control.signal, 'abort').length, 0);
    assert.equal(
      recovery.getRecoveryStatus().reasons.at(-1),
      'gave up: it was told to stop: the user went home',
    );
    assert.equal(await recovery.recover(new Error('y')), false, 'nor is anything begun after it');
  });

  test('ends a retry that never settles; how that ends later is nobody’s concern', async () => {
    const control = new AbortController();
    let fail = (_: Error): void => undefined;
    const never = new Promise<never>((_, reject) => (fail = reject));
    const recovery = new RecursiveTrainingRecovery(
      { signal: control.signal, retry: () => never },
      virtualTime().internals,
    );
    const done = recovery.recover(new Error('x'));
    await eventually(() => recovery.getRecoveryStatus().attempts === 1, 'the retry');
    control.abort();
    assert.equal(await done, false);
    assert.equal(recovery.getRecoveryStatus().lastRecoveryStatus, 'failed');
    fail(new Error('too late'));
    await new Promise(setImmediate); // an unhandled rejection would fail the test
  });
});

describe('retries never multiply', () => {
  test('recover within retry hands the error back to the recovery that called retry', async () => {
    const { internals } = virtualTime();
    let calls = 0;
    const inner = new Error('inner');
    const recovery: RecursiveTrainingRecovery = new RecursiveTrainingRecovery(
      {
        async retry(context) {
          calls++;
          try {
            throw inner;
          } catch (error) {
            await Promise.resolve();
            if (!(await recovery.recover(error, context))) throw error;
          }
        },
      },
      internals,
    );
    const context: RecoveryContext = {};
    assert.equal(await recovery.recover(new Error('outer'), context), false);
    assert.equal(calls, 3);
    assert.equal(context.error, inner);
  });

  test('what a retry left behind begins a recovery of its own once that one is over', async () => {
    const { internals } = virtualTime();
    let later: Promise<boolean> | undefined;
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const recovery: RecursiveTrainingRecovery = new RecursiveTrainingRecovery(
      {
        retry: () => {
          later ??= gate.then(() => recovery.recover(new Error('left behind')));
        },
      },
      internals,
    );
    assert.equal(await recovery.recover(new Error('x')), true);
    open();
    assert.equal(await later, true);
  });

  test('calls at the same time join: one recovery, one answer', async () => {
    const { internals } = virtualTime();
    let calls = 0;
    const recovery = new RecursiveTrainingRecovery({ retry: () => calls++ }, internals);
    const ranks = [0, 1, 2, 3].map((rank) =>
      recovery.recover(new Error(`rank ${rank} failed`), { runId: 'digits', step: 7 }),
    );
    const other = recovery.recover(new Error('x'), { runId: 'other' });
    await assert.rejects(other, { name: 'TypeError', message: /run digits is being recovered.*make another for run other/ }); // prettier-ignore
    assert.deepEqual(await Promise.all(ranks), [true, true, true, true]);
    assert.equal(calls, 1);
    const { reasons } = recovery.getRecoveryStatus();
    assert.equal(reasons.filter((one) => one.startsWith('at the same time: ')).length, 3);
  });
});

describe('the status and the configuration', () => {
  test('nothing happened yet; the status is a copy', async () => {
    const recovery = new RecursiveTrainingRecovery({ retry: () => undefined }, virtualTime().internals);
    const none = { lastRecoveryStatus: null, recovering: false, attempts: 0, reasons: [], lastFailure: null };
    assert.deepEqual(recovery.getRecoveryStatus(), none);
    (recovery.getRecoveryStatus().reasons as string[]).push('mine');
    assert.deepEqual(recovery.getRecoveryStatus(), none);
    await recovery.recover(new Error('x'));
    assert.deepEqual(JSON.parse(JSON.stringify(recovery.getRecoveryStatus())), recovery.getRecoveryStatus());
  });

  const retry = (): undefined => undefined;
  const wrong: readonly [unknown, string][] = [
    [undefined, 'the configuration must hold a table of settings.'],
    [{}, 'retry must be a function that runs the training again, not left out.'],
    [{ retry, maxRetries: -1 }, 'maxRetries must be a whole number from 0 to 1000000, not -1.'],
    [{ retry, rollbackEnabled: 'yes' }, 'rollbackEnabled must be true or false, not "yes".'],
    [{ retry, max_retries: 3 }, 'there is no key max_retries; did you mean maxRetries?'],
    [{ retry, backoff: { factor: 0.5 } }, 'backoff.factor must be a number from 1 to 100, not 0.5.'],
    [{ retry, backoff: { intial: 1 } }, 'there is no key backoff.intial; did you mean backoff.initial?'],
    [{ retry, checkpoints: { dirs: 'x' } }, 'there is no key checkpoints.dirs; did you mean checkpoints.dir?'],
    [{ retry, checkpoints: 'x' }, 'checkpoints must be a table of settings, not "x".'],
    [{ retry, checkResources: 1 }, 'checkResources must be true, false or a function, not 1.'],
    [{ retry, signal: {} }, 'signal must be an AbortSignal, not {}.'],
    [{ retry, onEvent: 1 }, 'onEvent must be a function, not 1.'],
  ]; // prettier-ignore
  for (const [config, message] of wrong)
    test(message, () => {
      assert.throws(() => new RecursiveTrainingRecovery(config as RecursiveTrainingRecoveryConfig), { name: 'TypeError', message }); // prettier-ignore
    });

  test('a context that is not valid is refused before anything is done', async () => {
    const recovery = new RecursiveTrainingRecovery({ retry: () => assert.fail('not valid') });
    const context = { step: 'ten' } as unknown as RecoveryContext;
    await assert.rejects(recovery.recover(new Error('x'), context), {
      name: 'TypeError',
      message: /^context\.step /,
    });
    await assert.rejects(recovery.rollbackToSafeState(context), {
      name: 'TypeError',
      message: /^context\.step /,
    });
    assert.equal(recovery.getRecoveryStatus().lastRecoveryStatus, null);
  });
});
