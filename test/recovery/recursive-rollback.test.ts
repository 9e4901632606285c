import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { RecursiveTrainingRecovery, type RecoveryContext, type RecursiveRecoveryEvent, type RecursiveTrainingRecoveryConfig } from '../../src/recovery/recursive.js'; // prettier-ignore
import { RecoveryManager } from '../../src/recovery/manager.js';
import { npz, trainerFolder } from '../checkpoints/samples.js';
import { tempDir } from '../support/temp-dir.js';
import { holder, type Scene, scene, three, torn, type Tree } from './rollback-scene.js';

describe('rollbackToSafeState', () => {
  test('a torn newest one goes into quarantine, and the one before it is resumed from', async (t) => {
    const { dir, recovery, events, left } = scene(t, three);
    const context: RecoveryContext = { step: 35, lastCheckpointPath: path.join(dir, 'step-30.npz') };
    const target = path.join(dir, 'step-20.npz');
    assert.equal(await recovery.rollbackToSafeState(context), target);
    assert.equal(context.lastCheckpointPath, target);
    assert.deepEqual(left(), ['step-10.npz', 'step-20.npz']);
    const [event] = events.filter(({ type }) => type === 'rolled-back');
    assert.ok(event?.type === 'rolled-back');
    assert.deepEqual(event.moved, ['step-30.npz']);
    assert.match(event.reason, /^step-30\.npz is corrupt: /);
    assert.equal(await recovery.rollbackToSafeState(context), target, 'again changes nothing');
    assert.deepEqual(left(), ['step-10.npz', 'step-20.npz']);
  });

  test('after numbers that went bad, to before the context’s step; the good ones past it are kept in quarantine', async (t) => {
    const { dir, recovery, left } = scene(t, { ...three, 'step-30.npz': npz(3) });
    const context: RecoveryContext = { step: 20, error: new Error('loss is nan') };
    assert.equal(await recovery.rollbackToSafeState(context), path.join(dir, 'step-10.npz'));
    assert.deepEqual(left(), ['step-10.npz']);
    const other = scene(t, { ...three, 'step-30.npz': npz(3) });
    const exception: RecoveryContext = { step: 20, error: new Error('boom') };
    assert.equal(await other.recovery.rollbackToSafeState(exception), path.join(other.dir, 'step-30.npz'));
  });

  test('a bit that flipped without a trace in size or time is found', async (t) => {
    const { dir, recovery, left } = scene(t, { ...trainerFolder(10), ...trainerFolder(20) });
    assert.equal(await recovery.rollbackToSafeState(), path.join(dir, 'checkpoint-20'));
    const { utimesSync, statSync, readFileSync } = await import('node:fs');
    const file = path.join(dir, 'checkpoint-20', 'model.safetensors');
    const [bytes, { atime, mtime }] = [readFileSync(file), statSync(file)];
    bytes[bytes.length - 9] = (bytes.at(-9) ?? 0) ^ 1;
    writeFileSync(file, bytes);
    utimesSync(file, atime, mtime);
    assert.equal(await recovery.rollbackToSafeState(), path.join(dir, 'checkpoint-10'));
    assert.throws(left, /checkpoint-20\/model\.safetensors was lost/, 'it is the flipped one that was kept');
    assert.deepEqual(readdirSync(dir), ['checkpoint-10']);
  });

  test('null where nothing can be trusted, and where nothing is', async (t) => {
    const { recovery, left } = scene(t, { 'step-10.npz': torn(1), 'step-20.npz': torn(2) });
    const context: RecoveryContext = { lastCheckpointPath: 'somewhere' };
    assert.equal(await recovery.rollbackToSafeState(context), null);
    assert.equal(context.lastCheckpointPath, 'somewhere', 'it does not tell anybody to begin anew');
    assert.deepEqual(left(), ['step-10.npz', 'step-20.npz']);
    const empty: RecoveryContext = {};
    assert.equal(await scene(t, {}).recovery.rollbackToSafeState(empty), null);
    assert.equal(empty.lastCheckpointPath, null);
  });

  test('an emptied folder is a loss, not a reason to begin anew', async (t) => {
    const { dir, recovery, contexts } = scene(t, {});
    const context = { lastCheckpointPath: path.join(dir, 'step-10.npz') };
    assert.equal(await recovery.recover(new Error('boom'), context), false);
    assert.equal(contexts.length, 0);
    assert.match(recovery.getRecoveryStatus().reasons.at(-1) ?? '', /the checkpoint folder .*checkpoints is empty; nothing was moved\. Name the right folder/); // prettier-ignore
    assert.equal(context.lastCheckpointPath, path.join(dir, 'step-10.npz'));
    assert.equal(await recovery.recover(new Error('boom'), context), false, 'nor when it is asked again');
  });

  test('nothing is moved where no good one is from before it went bad, unless the beginning is allowed', async (t) => {
    const numeric = (): RecoveryContext => ({ step: 5, error: new Error('loss is nan') });
    const { recovery, left } = scene(t, three);
    assert.equal(await recovery.rollbackToSafeState(numeric()), null);
    assert.deepEqual(left(), Object.keys(three));
    const anew = scene(t, three, { allowScratch: true });
    assert.equal(await anew.recovery.rollbackToSafeState(numeric()), null);
    assert.deepEqual(anew.left(), []);
  });

  test('rollbackEnabled false moves nothing, and says what could be resumed from', async (t) => {
    const { dir, recovery, left } = scene(t, three, { rollbackEnabled: false });
    assert.equal(await recovery.rollbackToSafeState(), path.join(dir, 'step-20.npz'));
    assert.deepEqual(left(), Object.keys(three));
  });

  test('the folder of lastCheckpointPath where none is configured; a clear sentence where there is neither', async (t) => {
    const { dir, left } = scene(t, three);
    const beside = readdirSync(path.dirname(dir));
    const bare = new RecursiveTrainingRecovery({ retry: () => undefined });
    const context: RecoveryContext = { lastCheckpointPath: path.join(dir, 'step-30.npz') };
    assert.equal(await bare.rollbackToSafeState(context), path.join(dir, 'step-20.npz'));
    assert.deepEqual(left(), Object.keys(three), 'nobody named it as a folder of checkpoints');
    const nan: RecoveryContext = { ...context, step: 20, error: new Error('loss is nan') };
    assert.equal(await bare.rollbackToSafeState(nan), path.join(dir, 'step-10.npz'));
    nan.step = 5;
    assert.equal(await bare.rollbackToSafeState(nan), null);
    assert.equal(await bare.recover(new Error('loss is nan'), nan), false, 'not from the beginning');
    assert.deepEqual(left(), Object.keys(three));
    assert.deepEqual(readdirSync(path.dirname(dir)), beside, 'nor is anything made beside it');
    const none = new RecursiveTrainingRecovery({ retry: () => undefined });
    await assert.rejects(none.rollbackToSafeState({}), {
      message:
        'no checkpoint folder is known; name it in checkpoints.dir, or give lastCheckpointPath in the context',
    });
    const missing = path.join(tempDir(t), 'none', 'step-1.npz');
    assert.equal(await none.rollbackToSafeState({ lastCheckpointPath: missing }), null);
    assert.ok(!existsSync(path.dirname(missing)), 'a folder is not made for a question');
  });

  test('two at the same time take turns', async (t) => {
    const { dir, recovery, left } = scene(t, three);
    const both = await Promise.all([recovery.rollbackToSafeState(), recovery.rollbackToSafeState()]);
    assert.deepEqual(both, [path.join(dir, 'step-20.npz'), path.join(dir, 'step-20.npz')]);
    assert.deepEqual(left(), ['step-10.npz', 'step-20.npz']);
  });

  test('whoever holds the folder is left alone, and named', async (t) => {
    const { dir, recovery, left } = scene(t, three);
    mkdirSync(path.join(path.dirname(dir), 'vault'));
    const release = await holder(t, dir);
    await assert.rejects(recovery.rollbackToSafeState(), /the rollback failed: checkpoint folder .* is in use by run mnist \(pid \d+/); // prettier-ignore
    assert.deepEqual(left(), Object.keys(three));
    await release();
    assert.equal(await recovery.rollbackToSafeState(), path.join(dir, 'step-20.npz'));
  });
});

describe('recover with a checkpoint folder', () => {
  test('retry resumes from what can be trusted', async (t) => {
    const { dir, recovery, contexts, left } = scene(t, three);
    const context: RecoveryContext = { runId: 'digits', step: 35 };
    assert.equal(await recovery.recover(new Error('boom'), context), true);
    assert.equal(contexts[0]?.lastCheckpointPath, path.join(dir, 'step-20.npz'));
    assert.equal(context.lastCheckpointPath, path.join(dir, 'step-20.npz'));
    assert.deepEqual(left(), ['step-10.npz', 'step-20.npz']);
  });

  test('a training that does not converge goes back to before its step', async (t) => {
    const { dir, recovery, contexts } = scene(t, { ...three, 'step-30.npz': npz(3) });
    const error = Object.assign(new Error('flat'), { name: 'ConvergenceError' });
    assert.equal(await recovery.recover(error, { step: 30 }), true);
    assert.equal(contexts[0]?.lastCheckpointPath, path.join(dir, 'step-20.npz'));
  });

  test('gives up where only checkpoints of the bad numbers are left', async (t) => {
    const { recovery, contexts, left } = scene(t, three);
    assert.equal(await recovery.recover(new Error('loss is nan'), { step: 5 }), false);
    assert.equal(contexts.length, 0);
    assert.match(recovery.getRecoveryStatus().reasons.at(-1) ?? '', /no checkpoint from before step 5 can be trusted; nothing was moved\. .* or set allowScratch/); // prettier-ignore
    assert.deepEqual(left(), Object.keys(three));
  });

  test('a rollback that was in the way does not forget where the numbers went bad', async (t) => {
    let release = (): Promise<void> => Promise.resolve();
    const { dir, recovery, contexts } = scene(t, { ...three, 'step-30.npz': npz(3) }, {
      strategies: async ({ kind }) => {
        // the holder goes away before the second try
        if (kind !== 'numeric') await release();
        return undefined;
      },
    }); // prettier-ignore
    mkdirSync(path.join(path.dirname(dir), 'vault'));
    release = await holder(t, dir);
    assert.equal(await recovery.recover(new Error('loss is nan'), { step: 20 }), true);
    assert.equal(contexts[0]?.lastCheckpointPath, path.join(dir, 'step-10.npz'));
    assert.match(recovery.getRecoveryStatus().reasons[1] ?? '', /^the rollback failed: .* in use by run mnist .*; retry 2 of 3$/); // prettier-ignore
  });

  test('without any folder it retries all the same, and says that nothing was rolled back', async () => {
    const events: RecursiveRecoveryEvent[] = [];
    const recovery = new RecursiveTrainingRecovery({
      ...{ backoff: { initial: 0 }, retry: () => undefined, onEvent: (event) => void events.push(event) },
    });
    assert.equal(await recovery.recover(new Error('boom')), true);
    assert.deepEqual(events[1]?.type === 'notice' && /^nothing is rolled back: no checkpoint folder is known/.test(events[1].text), true); // prettier-ignore
  });

  test('a folder that cannot be used is said, and uses retries', async (t) => {
    const file = path.join(tempDir(t), 'file');
    writeFileSync(file, 'x');
    const recovery = new RecursiveTrainingRecovery({
      ...{ maxRetries: 1, backoff: { initial: 0 }, checkpoints: { dir: file } },
      retry: () => assert.fail('it does not know what to resume from'),
    });
    assert.equal(await recovery.recover(new Error('boom')), false);
    assert.match(recovery.getRecoveryStatus().reasons.join('\n'), /the rollback failed: the checkpoint folder .* is a file/); // prettier-ignore
    rmSync(file);
  });
});

describe('a training that gets further', () => {
  test('a newer good checkpoint between failures makes the budget whole; a torn one does not', async (t) => {
    const outcome = async (save: (n: number) => Buffer): Promise<readonly [boolean, number]> => {
      let n = 1;
      const { dir, recovery, events } = scene(t, { 'step-10.npz': npz(1) }, {
        maxRetries: 2,
        retry() {
          writeFileSync(path.join(dir, `step-${++n * 10}.npz`), save(n));
          if (n < 7) throw Object.assign(new Error(`connect ECONNREFUSED 10.0.0.${n}:29500`), { code: 'ECONNREFUSED' });
        },
      }); // prettier-ignore
      const recovered = await recovery.recover(new Error('connect ECONNREFUSED'), {});
      return [recovered, events.filter(({ type }) => type === 'retry').length];
    };
    assert.deepEqual(await outcome(npz), [true, 6]);
    assert.deepEqual(await outcome(torn), [false, 2]);
  });
});

describe('what comes back after it was resumed', () => {
  const good: Tree = { 'step-10.npz': npz(1), 'step-20.npz': npz(2), 'step-30.npz': npz(3) };
  /** Fails so until it is resumed from the oldest one. */
  function failing(
    t: TestContext,
    message: string,
    more: Partial<RecursiveTrainingRecoveryConfig> = {},
  ): Scene & { readonly from: string[] } {
    const from: string[] = [];
    const retry = ({ lastCheckpointPath }: RecoveryContext): void => {
      from.push(path.basename(lastCheckpointPath ?? 'nothing'));
      if (from.at(-1) !== 'step-10.npz') throw new Error(message);
    };
    return { ...scene(t, good, { maxRetries: 10, retry, ...more }), from };
  }

  for (const message of ['loss is nan', 'the training has diverged', 'PytorchStreamReader failed reading zip archive: failed finding central directory'])
    test(`${message}: one checkpoint deeper each time, with nothing newer saved`, async (t) => {
      const { recovery, from, left } = failing(t, message);
      // the numbers are seen to be bad long after they went bad, or no step is known
      for (const step of [57, undefined]) {
        const one = step === undefined ? failing(t, message) : { recovery, from, left };
        assert.equal(await one.recovery.recover(new Error(message), step === undefined ? {} : { step }), true);
        assert.deepEqual(one.from, ['step-30.npz', 'step-20.npz', 'step-10.npz']);
        assert.deepEqual(one.left(), ['step-10.npz'], 'the others are kept in quarantine');
      }
    }); // prettier-ignore

  test('nor is what was saved since then trusted, where the numbers go bad again soon', async (t) => {
    let at = 30;
    const from: string[] = [];
    const { dir, recovery } = scene(t, good, {
      retry(context) {
        from.push(path.basename(context.lastCheckpointPath ?? 'nothing'));
        if (from.at(-1) === 'step-20.npz') return;
        // it saves, and goes on with the numbers that it was resumed with
        writeFileSync(path.join(dir, `step-${(at += 10)}.npz`), npz(at));
        context.step = at + 7;
        throw new Error('loss is nan');
      },
    });
    assert.equal(await recovery.recover(new Error('loss is nan'), { step: 37 }), true);
    assert.deepEqual(from, ['step-30.npz', 'step-20.npz']);
  });

  test('any other failure goes on from the same one', async (t) => {
    const { recovery, from, left } = failing(t, 'connect ECONNREFUSED', { maxRetries: 3 });
    assert.equal(await recovery.recover(new Error('connect ECONNREFUSED'), { step: 57 }), false);
    assert.deepEqual(from, ['step-30.npz', 'step-30.npz', 'step-30.npz']);
    assert.deepEqual(left(), Object.keys(good));
  });

  test('a rollback that was in the way does not forget what was resumed from', async (t) => {
    let release = (): Promise<void> => Promise.resolve();
    const from: string[] = [];
    const { dir, recovery } = scene(t, good, {
      strategies: async ({ reason }) => {
        if (reason.startsWith('the rollback failed')) await release();
        return undefined;
      },
      async retry(context) {
        from.push(path.basename(context.lastCheckpointPath ?? 'nothing'));
        if (from.length > 1) return;
        release = await holder(t, dir);
        throw new Error('loss is nan');
      },
    });
    assert.equal(await recovery.recover(new Error('loss is nan'), { step: 57 }), true);
    assert.deepEqual(from, ['step-30.npz', 'step-20.npz']);
  });

  test('where there is none before it, it is tried once more, then given up', async (t) => {
    const retries: unknown[] = [];
    const retry = ({ lastCheckpointPath }: RecoveryContext): never => {
      retries.push(lastCheckpointPath);
      throw new Error('loss is nan');
    };
    const { dir, recovery, left } = scene(t, { 'step-10.npz': npz(1) }, { maxRetries: 10, retry });
    assert.equal(await recovery.recover(new Error('loss is nan'), { step: 57 }), false);
    assert.deepEqual(retries, Array(2).fill(path.join(dir, 'step-10.npz')));
    assert.deepEqual(left(), ['step-10.npz']);
  });

  test('over several recoveries too; rollbackToSafeState alone does not count as resumed', async (t) => {
    const { dir, recovery } = scene(t, good);
    const context: RecoveryContext = { step: 57, error: new Error('loss is nan') };
    for (let n = 0; n < 2; n++)
      assert.equal(await recovery.rollbackToSafeState(context), path.join(dir, 'step-30.npz'));
    const went = [];
    for (let n = 0; n < 2; n++) {
      assert.equal(await recovery.recover(new Error('loss is nan'), context), true);
      went.push(path.basename(context.lastCheckpointPath ?? ''));
    }
    assert.deepEqual(went, ['step-30.npz', 'step-20.npz']);
  });
});

describe('no checkpoint where one should be', () => {
  const reason = (recovery: RecursiveTrainingRecovery): string =>
    recovery.getRecoveryStatus().reasons.at(-1) ?? '';

  test('a misspelt folder is not made, and gives up once there were steps, unless the beginning is allowed', async (t) => {
    const dir = path.join(tempDir(t), 'typo');
    const config = { backoff: { initial: 0 }, checkpoints: { dir }, retry: () => undefined };
    const one = new RecursiveTrainingRecovery(config);
    assert.equal(await one.recover(new Error('boom'), { step: 900_000 }), false);
    assert.match(reason(one), /^gave up: the checkpoint folder .*typo is not there; nothing was moved\. Name the right folder in checkpoints\.dir, .* or set allowScratch/); // prettier-ignore
    const events: RecursiveRecoveryEvent[] = [];
    const anew = new RecursiveTrainingRecovery({ ...config, allowScratch: true, onEvent: (event) => events.push(event) }); // prettier-ignore
    const context: RecoveryContext = { step: 900_000, lastCheckpointPath: path.join(dir, 'step-1.npz') };
    assert.equal(await anew.recover(new Error('boom'), context), true);
    const text = `there is no checkpoint in ${dir} to go back to: from the beginning`;
    assert.equal(reason(anew), text);
    assert.ok(events.some((event) => event.type === 'notice' && event.text === text));
    assert.equal(context.lastCheckpointPath, null);
    assert.equal(
      await new RecursiveTrainingRecovery(config).recover(new Error('boom'), {}),
      true,
      'no step was made',
    );
    assert.ok(!existsSync(dir));
  });

  test('what a RecoveryManager saved is not recognised here, and said so', async (t) => {
    const parent = tempDir(t);
    const manager = new RecoveryManager({ checkpointDir: parent });
    await manager.saveCheckpoint('w0', { step: 5 });
    const { lastCheckpoint } = await manager.registerWorker('w0');
    await manager.close();
    const retry = (): never => assert.fail('not from the beginning');
    const base = { backoff: { initial: 0 }, retry };
    const named = new RecursiveTrainingRecovery({ ...base, checkpoints: { dir: path.join(parent, 'w0') } });
    assert.equal(await named.recover(new Error('boom'), {}), false);
    assert.match(reason(named), /^gave up: no file in .*w0 was recognised as a checkpoint \(there is .*\.json\); what a RecoveryManager saved is read with its loadCheckpoint; nothing was moved/); // prettier-ignore
    const bare = new RecursiveTrainingRecovery(base);
    assert.equal(await bare.recover(new Error('boom'), { lastCheckpointPath: lastCheckpoint }), false);
    assert.match(reason(bare), /no file in .*w0 was recognised/);
  });
});
