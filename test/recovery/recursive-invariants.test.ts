import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'; // prettier-ignore
import path from 'node:path';
import { describe, test } from 'node:test';
import { Store } from '../../src/checkpoints/store.js';
import { RecursiveTrainingRecovery, type RecoveryContext, type RecursiveRecoveryEvent, type RecursiveTrainingRecoveryConfig } from '../../src/recovery/recursive.js'; // prettier-ignore
import { lay, npz } from '../checkpoints/samples.js';
import { tempDir } from '../support/temp-dir.js';
import { holder, scene, three, type Tree } from './rollback-scene.js';

const good: Tree = { 'step-10.npz': npz(1), 'step-20.npz': npz(2), 'step-30.npz': npz(3) };
const network = (): Error =>
  Object.assign(new Error('connect ECONNREFUSED 10.0.0.7:29500'), { code: 'ECONNREFUSED' });
const nan = (): Error => new Error('loss is nan');
const texts = (events: readonly RecursiveRecoveryEvent[]): readonly string[] =>
  events.flatMap((event) => (event.type === 'notice' ? [event.text] : []));
const reasonsOf = (events: readonly RecursiveRecoveryEvent[]): readonly string[] =>
  events.flatMap((event) => (event.type === 'rolled-back' ? [event.reason] : []));

/** A recovery to which nobody named a folder, where it resumed from each time. */
function handsOff(more: Partial<RecursiveTrainingRecoveryConfig> & { readonly errors: Error[] }): {
  readonly recovery: RecursiveTrainingRecovery;
  readonly from: string[];
} {
  const { errors, ...config } = more;
  const from: string[] = [];
  const retry = ({ lastCheckpointPath }: RecoveryContext): void => {
    from.push(path.basename(lastCheckpointPath ?? 'nothing'));
    const next = errors.shift();
    if (next) throw next;
  };
  return { recovery: new RecursiveTrainingRecovery({ backoff: { initial: 0 }, retry, ...config }), from };
}

describe('what is held against checkpoints ends with its failure', () => {
  const healthy = Object.fromEntries([40, 50, 60].map((step) => [`step-${step}.npz`, npz(step)]));

  test('a rollbackToSafeState that was refused leaves nothing behind', async (t) => {
    const { dir, recovery, contexts } = scene(t, good);
    mkdirSync(path.join(path.dirname(dir), 'vault'));
    const release = await holder(t, dir);
    await assert.rejects(recovery.rollbackToSafeState({ step: 15, error: nan() }), /in use by run mnist/);
    await release();
    lay(dir, healthy);
    assert.equal(await recovery.recover(network(), { step: 65 }), true);
    assert.equal(contexts[0]?.lastCheckpointPath, path.join(dir, 'step-60.npz'));
    assert.equal(readdirSync(dir).length, 6, 'nothing is moved');
  });

  test('nor one that found no folder, nor one that a retry went on without', async (t) => {
    const { dir, recovery, contexts } = scene(t, {}, { checkResources: false });
    rmSync(dir, { recursive: true });
    assert.equal(await recovery.rollbackToSafeState({ step: 5, error: nan() }), null);
    assert.equal(await recovery.recover(nan(), { step: 0 }), true);
    lay(dir, healthy);
    assert.equal(await recovery.recover(network(), { step: 65 }), true);
    assert.equal(contexts[1]?.lastCheckpointPath, path.join(dir, 'step-60.npz'));
  });

  test('nor a recovery that gave up at a folder that was held', async (t) => {
    const { dir, recovery, contexts } = scene(t, good, { maxRetries: 1 });
    mkdirSync(path.join(path.dirname(dir), 'vault'));
    const release = await holder(t, dir);
    assert.equal(await recovery.recover(nan(), { step: 15 }), false);
    await release();
    lay(dir, healthy);
    assert.equal(await recovery.recover(network(), { step: 65 }), true);
    assert.equal(contexts[0]?.lastCheckpointPath, path.join(dir, 'step-60.npz'));
  });
});

describe('where nothing may be moved', () => {
  test('what was gone back past stays behind, whatever fails next', async (t) => {
    const { dir, left } = scene(t, good);
    const { recovery, from } = handsOff({ errors: [network()] });
    const context = { step: 27, lastCheckpointPath: path.join(dir, 'step-30.npz') };
    assert.equal(await recovery.recover(nan(), context), true);
    assert.match(recovery.getRecoveryStatus().reasons[1] ?? '', /retry 2 of 3$/, 'nor is it any progress');
    assert.equal(await recovery.recover(network(), { lastCheckpointPath: context.lastCheckpointPath }), true);
    assert.deepEqual(from, ['step-20.npz', 'step-20.npz', 'step-20.npz']);
    // saved anew under the same name it is another
    writeFileSync(path.join(dir, 'step-30.npz'), npz(33));
    assert.equal(await recovery.recover(network(), { lastCheckpointPath: context.lastCheckpointPath }), true);
    assert.equal(from.at(-1), 'step-30.npz');
    writeFileSync(path.join(dir, 'step-30.npz'), npz(3));
    assert.deepEqual(left(), Object.keys(good));
  });

  test('what was gone back past in vain is free again once it is given up', async (t) => {
    const { dir } = scene(t, good);
    const { recovery, from } = handsOff({ maxRetries: 2, errors: [nan(), nan()] });
    const lastCheckpointPath = path.join(dir, 'step-30.npz');
    assert.equal(await recovery.recover(nan(), { lastCheckpointPath }), false);
    assert.deepEqual(from, ['step-30.npz', 'step-20.npz']);
    assert.equal(await recovery.rollbackToSafeState({ lastCheckpointPath }), lastCheckpointPath);
  });

  test('nor is that resumed from which a rollback that was cut off moves away', async (t) => {
    const { dir } = scene(t, good);
    const { recovery } = handsOff({ errors: [] });
    const one = new RecursiveTrainingRecovery({ checkpoints: { dir }, retry: () => undefined });
    assert.equal(await one.rollbackToSafeState({ step: 25, error: nan() }), path.join(dir, 'step-20.npz'));
    // as after a SIGKILL between its journal and its move
    const vault = path.join(path.dirname(dir), '.checkpoints.trainguard');
    const [journal = ''] = readdirSync(path.join(vault, 'journal'));
    assert.match(journal, /\.json\.done$/);
    renameSync(path.join(vault, 'journal', journal), path.join(vault, 'journal', journal.slice(0, -5)));
    const tx = journal.slice(0, -'.json.done'.length);
    renameSync(path.join(vault, 'quarantine', tx, 'step-30.npz'), path.join(dir, 'step-30.npz'));
    const lastCheckpointPath = path.join(dir, 'step-30.npz');
    assert.equal(await recovery.rollbackToSafeState({ lastCheckpointPath }), path.join(dir, 'step-20.npz'));
    assert.ok(existsSync(lastCheckpointPath));
  });
});

describe('a training in a circle', () => {
  const circling = async (next: (n: number) => RecoveryContext): Promise<readonly [boolean, number]> => {
    let n = 0;
    const parent = tempDir({ after: (callback) => void ends.push(callback) });
    const dir = path.join(parent, 'checkpoints');
    mkdirSync(dir);
    const save = (): void => {
      const file = path.join(dir, 'latest.npz');
      writeFileSync(file, npz(++n));
      // a second each
      utimesSync(file, 1_700_000_000 + n, 1_700_000_000 + n);
    };
    const recovery = new RecursiveTrainingRecovery({
      ...{ maxRetries: 3, backoff: { initial: 0 }, checkpoints: { dir }, checkResources: false },
      onEvent: (event) => void notices.push(...texts([event])),
      retry(context) {
        save();
        Object.assign(context, next(n));
        if (n < 9) throw network();
      },
    });
    save();
    return [await recovery.recover(network(), next(n)), n - 1];
  };
  const ends: (() => Promise<void>)[] = [];
  const notices: string[] = [];

  test('ends where its checkpoint is written over the last one, step or none', async (t) => {
    t.after(async () => {
      for (const end of ends) await end();
    });
    assert.deepEqual(await circling(() => ({ step: 27 })), [false, 3]);
    assert.match(notices.at(-1) ?? '', /^a newer checkpoint is there, .* keep context\.step current$/);
    assert.deepEqual(await circling(() => ({})), [false, 3]);
    assert.deepEqual(
      await circling((n) => ({ step: n * 10 })),
      [true, 8],
      'its steps say that it gets further',
    );
  });
});

describe('an emptied folder', () => {
  test('is a loss to who gives each recovery its own context, and stays one', async (t) => {
    const { dir, recovery, contexts } = scene(t, { 'step-10.npz': npz(1) });
    assert.equal(await recovery.recover(new Error('boom'), {}), true);
    rmSync(path.join(dir, 'step-10.npz'));
    for (let n = 0; n < 2; n++) assert.equal(await recovery.recover(new Error('boom'), {}), false);
    assert.equal(contexts.length, 1);
    assert.match(
      recovery.getRecoveryStatus().reasons.at(-1) ?? '',
      /checkpoints is empty; nothing was moved/,
    );
  });
});

describe('a recovery that gives up', () => {
  test('puts back what it had gone back past in vain, and what was saved since is kept', async (t) => {
    let n = 0;
    const { dir, recovery, events, left } = scene(t, good, {
      maxRetries: 3,
      retry: ({ lastCheckpointPath }) => {
        // under the name of the one that comes back
        if (path.basename(lastCheckpointPath ?? '') === 'step-20.npz')
          writeFileSync(path.join(dir, 'step-30.npz'), npz(100 + ++n).subarray(0, 900));
        throw nan();
      },
    });
    assert.equal(await recovery.recover(nan(), {}), false);
    assert.deepEqual(left(), Object.keys(good));
    assert.deepEqual(readFileSync(path.join(dir, 'step-30.npz')), good['step-30.npz']);
    assert.ok(texts(events).includes('what was gone back past in vain is put back where it was'));
    assert.equal(events.at(-1)?.type, 'gave-up');
  });

  test('nothing, once a whole checkpoint was saved from further back', async (t) => {
    const unloadable = (): Error =>
      new Error('PytorchStreamReader failed reading zip archive: failed finding central directory');
    const steps = (...numbers: number[]): Tree =>
      Object.fromEntries(numbers.map((step) => [`step-${step}.npz`, npz(step)]));
    const { dir, recovery, left, events } = scene(t, steps(100, 200, 300), {
      ...{ maxRetries: 3, checkResources: false },
      retry: ({ lastCheckpointPath }) => {
        const from = path.basename(lastCheckpointPath ?? '');
        if (from === 'step-300.npz') throw unloadable();
        if (from === 'step-200.npz') lay(dir, steps(250, 290));
        throw network();
      },
    });
    assert.equal(await recovery.recover(unloadable(), {}), false);
    assert.deepEqual(left(), Object.keys(steps(100, 200, 250, 290)));
    assert.ok(!texts(events).some((text) => text.includes('in vain')));
  });

  test('but not what damage called for, nor what was a cure', async (t) => {
    const torn = scene(t, three, { maxRetries: 2, retry: () => assert.fail('boom') });
    assert.equal(await torn.recovery.recover(network(), {}), false);
    assert.deepEqual(torn.left(), ['step-10.npz', 'step-20.npz']);
    const errors = [nan()];
    const cured = scene(t, good, {
      retry: () => {
        const error = errors.shift();
        if (error) throw error;
      },
    });
    assert.equal(await cured.recovery.recover(nan(), {}), true);
    errors.push(...Array.from({ length: 9 }, network));
    assert.equal(await cured.recovery.recover(network(), {}), false);
    assert.deepEqual(cured.left(), ['step-10.npz', 'step-20.npz']);
  });

  test('says of each that it went back past why it did', async (t) => {
    const { recovery, events } = scene(t, good, {
      maxRetries: 2,
      retry: () => {
        throw nan();
      },
    });
    assert.equal(await recovery.recover(nan(), { step: 57 }), false);
    assert.deepEqual(reasonsOf(events), [
      '',
      'step-30.npz is suspect: the training failed after it resumed from it, and saved none since',
    ]);
  });

  test('where that cannot be put back it says that it is in quarantine', async (t) => {
    let n = 0;
    const { dir, recovery, events } = scene(t, good, {
      maxRetries: 2,
      retry: async () => {
        if (++n === 2) await holder(t, dir);
        throw nan();
      },
    });
    assert.equal(await recovery.recover(nan(), {}), false);
    assert.ok(texts(events).some((text) => /^what was gone back past in vain stays in quarantine, since it could not be put back: .* in use by run mnist/.test(text)), texts(events).join('\n')); // prettier-ignore
  });
});

describe('signal ends a recovery at once', () => {
  test('while strategies is awaited, and says nothing false of it', async () => {
    const stop = new AbortController();
    const events: RecursiveRecoveryEvent[] = [];
    const recovery = new RecursiveTrainingRecovery({
      signal: stop.signal,
      strategies: () => {
        setImmediate(() => stop.abort());
        return new Promise(() => undefined);
      },
      onEvent: (event) => events.push(event),
      retry: () => assert.fail('it was told to stop'),
    });
    assert.equal(await recovery.recover(new Error('boom')), false);
    assert.deepEqual(events.map(({ type }) => type), ['gave-up']); // prettier-ignore
  });

  test('while a checkpoint is read, before anything is moved', async (t) => {
    const stop = new AbortController();
    const { recovery, left, events } = scene(t, three, { signal: stop.signal });
    t.mock.method(Store.prototype, 'vet', () => {
      setImmediate(() => stop.abort());
      return new Promise(() => undefined);
    });
    assert.equal(await recovery.recover(new Error('boom')), false);
    assert.deepEqual(left(), Object.keys(three));
    assert.ok(!events.some(({ type }) => type === 'rolled-back' || type === 'retry'));
    await assert.rejects(recovery.rollbackToSafeState(), { name: 'Aborted' });
  });
});

test('a recovery that signal ended puts nothing back: its training may still be saving', async (t) => {
  const stop = new AbortController();
  let n = 0;
  const { recovery, left } = scene(t, good, {
    signal: stop.signal,
    retry: () => {
      if (++n === 1) throw nan();
      stop.abort();
      return new Promise(() => undefined);
    },
  });
  assert.equal(await recovery.recover(nan(), {}), false);
  assert.deepEqual(left(), ['step-10.npz', 'step-20.npz']);
});

describe('recover called by work that was begun before it', () => {
  test('is answered by the recovery under way, and a notice says how that may never end', async () => {
    const events: RecursiveRecoveryEvent[] = [];
    let begun = (): void => undefined;
    const running = new Promise<void>((resolve) => (begun = resolve));
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const recovery = new RecursiveTrainingRecovery({
      ...{ backoff: { initial: 0 }, onEvent: (event) => events.push(event) },
      retry: async () => {
        begun();
        await ended;
      },
    });
    const first = recovery.recover(new Error('boom'));
    await running;
    const second = recovery.recover(new Error('boom'));
    end();
    assert.deepEqual(await Promise.all([first, second]), [true, true]);
    assert.equal(texts(events).filter((text) => /^recover was called while retry runs, .* let the error out of retry/.test(text)).length, 1); // prettier-ignore
  });
});

describe('a folder that is missing', () => {
  test('among several is not made either, and is said', async (t) => {
    const parent = tempDir(t);
    const [dir, misspelt] = [path.join(parent, 'checkpoints'), path.join(parent, 'misspelt')];
    lay(dir, good);
    const events: RecursiveRecoveryEvent[] = [];
    const contexts: RecoveryContext[] = [];
    const recovery = new RecursiveTrainingRecovery({
      ...{ backoff: { initial: 0 }, checkpoints: { dir: [dir, misspelt] } },
      onEvent: (event) => events.push(event),
      retry: (context) => void contexts.push({ ...context }),
    });
    assert.equal(await recovery.recover(new Error('boom'), { step: 41 }), true);
    assert.equal(contexts[0]?.lastCheckpointPath, path.join(dir, 'step-30.npz'));
    assert.deepEqual(
      readdirSync(parent).filter((name) => name.includes('misspelt')),
      [],
    );
    assert.ok(texts(events).includes(`the checkpoint folder ${misspelt} is not there, and is not made`));
  });

  test('before any step it is begun anew, and nobody is told to name another', async (t) => {
    const { dir, recovery, events } = scene(t, {});
    rmSync(dir, { recursive: true });
    assert.equal(await recovery.recover(new Error('boom'), {}), true);
    assert.deepEqual(reasonsOf(events), [`the checkpoint folder ${dir} is not there`]);
  });
});

test('what only the caller reads does not keep a recovery from its work', async () => {
  const events: RecursiveRecoveryEvent[] = [];
  const recovery = new RecursiveTrainingRecovery({
    ...{ backoff: { initial: 0 }, retry: () => undefined, onEvent: (event) => events.push(event) },
    checkResources: () => null,
  });
  const context = { epoch: Number.NaN, modelId: 7 } as unknown as RecoveryContext;
  assert.equal(await recovery.recover(new Error('boom'), context), true);
  assert.equal(texts(events).filter((text) => text.endsWith('it counts as unknown')).length, 2);
});
