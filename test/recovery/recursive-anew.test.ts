import assert from 'node:assert/strict';
import { mkdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { RecoveryContext, RecursiveRecoveryEvent } from '../../src/recovery/recursive.js';
import { RecursiveTrainingRecovery } from '../../src/recovery/recursive.js';
import { npz } from '../checkpoints/samples.js';
import { scene, type Scene, torn, type Tree } from './rollback-scene.js';

const boom = (): Error => new Error('CUDA out of memory');
const lastReason = ({ recovery }: Scene): string => recovery.getRecoveryStatus().reasons.at(-1) ?? '';
const texts = (events: readonly RecursiveRecoveryEvent[]): readonly string[] =>
  events.flatMap((event) => (event.type === 'notice' ? [event.text] : []));
const one: Tree = { 'step-60.npz': torn(6) };
const two: Tree = { 'step-40.npz': torn(4), ...one };

describe('where every checkpoint is damaged', () => {
  const cases: readonly (readonly [name: string, tree: Tree, context: RecoveryContext, said: RegExp])[] = [
    [
      'one, after steps',
      one,
      { step: 65 },
      /the only checkpoint in .*checkpoints is damaged \(step-60\.npz: /,
    ],
    ['one, that the context names', one, { lastCheckpointPath: 'step-60.npz' }, /the only checkpoint in /],
    [
      'two, after steps',
      two,
      { step: 65 },
      /all 2 checkpoints in .*checkpoints are damaged \(step-60\.npz: /,
    ],
    ['two, at an unknown step: there was more than the first save', two, {}, /all 2 checkpoints in /],
    ['NaN', two, { step: 65, error: 'nan' }, /all 2 checkpoints in /],
  ];
  for (const [name, tree, { error, ...context }, said] of cases)
    test(`${name}: it gives up, and moves nothing`, async (t) => {
      const at = scene(t, tree, { retry: () => assert.fail('not from the beginning') });
      const before = context.lastCheckpointPath;
      assert.equal(await at.recovery.recover(error === undefined ? boom() : new Error('loss is nan'), context), false);
      assert.match(lastReason(at), said);
      assert.match(lastReason(at), /; nothing was moved\. .* or set allowScratch to train from the beginning$/);
      assert.deepEqual(at.left(), Object.keys(tree));
      assert.equal(context.lastCheckpointPath, before);
      assert.deepEqual(texts(at.events), []);
    }); // prettier-ignore

  test('one whose bytes changed without a trace counts as damaged too', async (t) => {
    const at = scene(t, { 'step-60.npz': npz(6) }, { retry: () => assert.fail('not from the beginning') });
    const file = path.join(at.dir, 'step-60.npz');
    const context: RecoveryContext = {};
    assert.equal(await at.recovery.rollbackToSafeState(context), file);
    const { atime, mtime } = statSync(file);
    const bytes = npz(6);
    bytes[900] = (bytes.at(900) ?? 0) ^ 1;
    writeFileSync(file, bytes);
    utimesSync(file, atime, mtime);
    assert.equal(await at.recovery.recover(boom(), context), false);
    assert.match(lastReason(at), /the only checkpoint in .* is damaged \(step-60\.npz: /);
  });

  test('nor without checkpoints.dir', async (t) => {
    const { dir, left } = scene(t, one);
    const recovery = new RecursiveTrainingRecovery({
      ...{ backoff: { initial: 0 }, retry: () => assert.fail('not from the beginning') },
    });
    const lastCheckpointPath = path.join(dir, 'step-60.npz');
    assert.equal(await recovery.recover(boom(), { step: 65, lastCheckpointPath }), false);
    assert.match(recovery.getRecoveryStatus().reasons.at(-1) ?? '', /the only checkpoint in .* is damaged/);
    assert.deepEqual(left(), ['step-60.npz']);
  });

  test('rollbackToSafeState answers null, and tells nobody to begin anew', async (t) => {
    for (const rollbackEnabled of [true, false]) {
      const at = scene(t, two, { rollbackEnabled });
      for (const context of [{}, { lastCheckpointPath: null }] satisfies RecoveryContext[]) {
        assert.equal(await at.recovery.rollbackToSafeState(context), null);
        assert.deepEqual(context, {});
      }
      assert.deepEqual(at.left(), Object.keys(two));
    }
  });

  test('with allowScratch it begins anew, and says why', async (t) => {
    const at = scene(t, two, { allowScratch: true });
    assert.equal(await at.recovery.recover(boom(), { step: 65 }), true);
    assert.equal(at.contexts[0]?.lastCheckpointPath, null);
    assert.deepEqual(at.left(), [], 'it is in quarantine');
    assert.match(
      texts(at.events)[0] ?? '',
      /^all 2 checkpoints in .* are damaged \(.*\): from the beginning$/,
    );
  });

  test('a first save that was cut off before any step was known is no loss, as to the command', async (t) => {
    for (const context of [{}, { step: 0 }]) {
      const at = scene(t, one);
      assert.equal(await at.recovery.recover(boom(), context), true);
      assert.equal(at.contexts[0]?.lastCheckpointPath, null);
      assert.deepEqual(at.left(), []);
      assert.match(
        texts(at.events)[0] ?? '',
        /^the only checkpoint in .* is damaged .*: from the beginning$/,
      );
    }
  });
});

describe('a folder of what is no checkpoint', () => {
  const wrong: Tree = { 'weights.bin': 'xxxx' };

  test('gives up once there were steps, and names what is there', async (t) => {
    const at = scene(t, wrong, { retry: () => assert.fail('not from the beginning') });
    assert.equal(await at.recovery.recover(boom(), { step: 55 }), false);
    assert.match(lastReason(at), /no file in .*checkpoints was recognised as a checkpoint \(there is weights\.bin\); nothing was moved/); // prettier-ignore
    assert.deepEqual(at.left(), ['weights.bin']);
  });

  test('before any step it begins, and the notice names what is there', async (t) => {
    const at = scene(t, wrong);
    assert.equal(await at.recovery.recover(boom(), {}), true);
    assert.match(texts(at.events)[0] ?? '', /\(there is weights\.bin\): from the beginning$/);
  });

  test('but logs alone wait for their first checkpoint', async (t) => {
    const at = scene(t, { 'train.log': 'step 1', 'events.out.tfevents.17': 'x' });
    mkdirSync(path.join(at.dir, 'runs'));
    assert.equal(await at.recovery.recover(boom(), { step: 55 }), true);
    assert.equal(at.contexts[0]?.lastCheckpointPath, null);
  });

  test('nor does what merely describes a training keep it from its first save', async (t) => {
    const beside = ['args.json', 'config.json', 'hparams.yaml', 'README.md', 'metrics.csv', 'tokenizer.json', 'vocab.txt', 'step-20.npz.tmp']; // prettier-ignore
    const tree = Object.fromEntries(beside.map((name) => [name, 'x']));
    const at = scene(t, tree);
    mkdirSync(path.join(at.dir, 'lost+found'));
    assert.equal(await at.recovery.recover(boom(), { step: 55 }), true);
    assert.equal(at.contexts[0]?.lastCheckpointPath, null);
    assert.deepEqual(at.left(), [...beside, 'lost+found'].toSorted(), 'nothing is moved');
    const wrong = scene(t, { ...tree, 'weights.bin': 'x' }, { retry: () => assert.fail('not from the beginning') });
    assert.equal(await wrong.recovery.recover(boom(), { step: 55 }), false);
  }); // prettier-ignore
});

test('where no folder is known retry is told of no checkpoint, and the status says what that means', async () => {
  const events: RecursiveRecoveryEvent[] = [];
  const seen: unknown[] = [];
  const recovery = new RecursiveTrainingRecovery({
    ...{ backoff: { initial: 0 }, onEvent: (event) => events.push(event) },
    retry: ({ lastCheckpointPath }) => seen.push(lastCheckpointPath),
  });
  assert.equal(await recovery.recover(boom(), { runId: 'x', step: 500_000 }), true);
  assert.deepEqual(seen, [undefined], 'null would say: from the beginning');
  const said =
    /^nothing is rolled back: .*trainguard knows of no checkpoint, .* or it trains from the beginning$/;
  assert.match(recovery.getRecoveryStatus().reasons.at(-1) ?? '', said);
  assert.match(texts(events)[0] ?? '', said);
});

test('without rollbacks a checkpoint of bad numbers that stays is no progress, one past it is', async (t) => {
  for (const saves of [false, true]) {
    let n = 0;
    const at = scene(t, { 'step-40.npz': npz(4), 'step-60.npz': npz(6) }, {
      ...{ rollbackEnabled: false, maxRetries: 1 },
      retry() {
        if (++n === 1 && saves) writeFileSync(path.join(at.dir, 'step-80.npz'), npz(8));
        throw new Error(`connect ECONNREFUSED 10.0.0.${n}:29500`);
      },
    }); // prettier-ignore
    assert.equal(await at.recovery.recover(new Error('loss is nan'), { step: 57 }), false);
    assert.equal(n, saves ? 2 : 1);
  }
});
