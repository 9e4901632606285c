import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { Scanner } from '../../src/checkpoints/scan.js';
import { oldestFirst } from '../../src/checkpoints/order.js';
import type { Unit } from '../../src/checkpoints/unit.js';
import { hdf5Of, lay, noise, npz, safetensorsOf, scratch, trainerFolder, zipOf } from './samples.js';

type Tree = Readonly<Record<string, Buffer | string>>;

async function unitsOf(t: TestContext, tree: Tree, more?: (dir: string) => void): Promise<readonly Unit[]> {
  const dir = scratch(t);
  lay(dir, tree);
  more?.(dir);
  return (await new Scanner(dir, 'auto').scan(() => false)).units;
}

async function assertIds(
  t: TestContext,
  tree: Tree,
  ids: string[],
  more?: (dir: string) => void,
): Promise<void> {
  assert.deepEqual((await unitsOf(t, tree, more)).map((unit) => unit.id), ids); // prettier-ignore
}

const torch = zipOf([{ name: 'archive/data.pkl', data: noise(50) }]);
const keras = zipOf([
  { name: 'metadata.json', data: Buffer.from('{}') },
  { name: 'model.weights.h5', data: hdf5Of(200) },
]);

describe('generic takes by content', () => {
  test('each known format, ordered by number and not by name', (t) =>
    assertIds(
      t,
      { 'a-9': npz(), 'a-10': torch, 'a-100': keras, 'a-2': safetensorsOf({ w: 1 }), 'a-3': hdf5Of(99) },
      ['a-2', 'a-3', 'a-9', 'a-10', 'a-100'],
    ));

  test('never what only looks like one: text, other archives, data shards, logs, event files, hidden and temporary', (t) =>
    assertIds(
      t,
      {
        'notes-1.npz': 'text',
        'report-1.zip': zipOf([{ name: 'a.txt', data: noise(9) }]),
        'train-0001.npz': npz(),
        'data_2.npz': npz(),
        'shard-3.npz': npz(),
        'val.part4.npz': npz(),
        'events.out.tfevents.17000': noise(50),
        'log_1.json': '{"step": 1}',
        '.step-7.npz': npz(),
        'step-8.npz.tmp': npz(),
        'tmp-checkpoint-9/model.safetensors': safetensorsOf({ w: 1 }),
        'metrics_1.json': '{}',
        'mnist.npz': npz(),
        'runs/events.1': noise(9),
      },
      [],
    ));

  test('JSON and pickles only by a word in the name, JSON only where nothing else is', async (t) => {
    await assertIds(t, { 'state-1.json': '{"a": 1}', 'state-2.json': '{"a"' }, [
      'state-1.json',
      'state-2.json',
    ]);
    await assertIds(t, { 'epoch_1.json': '[12:01] hello' }, []);
    const [unit, ...others] = await unitsOf(t, {
      'step-5.json': '{}',
      'step-5.npz': npz(),
      'eval_step_6.json': '{}',
    });
    assert.deepEqual(unit?.members.map((entry) => entry.path), ['step-5.npz', 'step-5.json']); // prettier-ignore
    assert.deepEqual(others, []);
  });

  test('a torn member belongs to its series; where all are torn the name decides', async (t) => {
    await assertIds(t, { 'x1.npz': npz(), 'x2.npz': '', 'x3.npz': npz().subarray(0, 40) }, ['x1.npz', 'x2.npz', 'x3.npz']); // prettier-ignore
    await assertIds(t, { 'x1.npz': '', 'x2.npz': '' }, []);
    await assertIds(t, { 'ckpt-1.npz': '', 'ckpt-2.npz': Buffer.alloc(500) }, ['ckpt-1.npz', 'ckpt-2.npz']);
    await assertIds(t, { 'model_config_1.txt': 'lr = 3' }, []);
  });

  test('folders that hold a checkpoint, an empty one among them included', (t) =>
    assertIds(
      t,
      { 'step-1/sub/w.safetensors': safetensorsOf({ w: 1 }), 'code/model.py': 'x', 'assets/a.json': '{}' },
      ['step-1', 'step-2'],
      (dir) => mkdirSync(path.join(dir, 'step-2')),
    ));

  test('a file without digits is one; links are foreign; names may be anything', (t) =>
    assertIds(t, { 'ckpt.pt': torch, 'größe\n1 ☃.npz': npz() }, ['ckpt.pt', 'größe\n1 ☃.npz'], (dir) => {
      symlinkSync('ckpt.pt', path.join(dir, 'last.pt'));
      symlinkSync('/', path.join(dir, 'step-3'));
      symlinkSync('nowhere', path.join(dir, 'step-4.npz'));
    }));

  test('what orders: a step before an epoch, never a loss, a rank or an extension', async (t) => {
    const numbers = async (tree: Tree): Promise<(number | undefined)[]> => (await unitsOf(t, tree)).map((unit) => unit.number); // prettier-ignore
    assert.deepEqual(await numbers({ 'epoch=0-step=9.ckpt': torch, 'epoch=1-step=20.ckpt': torch }), [9, 20]);
    assert.deepEqual(
      await numbers({ 'epoch=03-loss=0.99.ckpt': torch, 'epoch=04-loss=0.12.ckpt': torch }),
      [3, 4],
    );
    assert.deepEqual(await numbers({ 'model.weights.h5': hdf5Of(99) }), [undefined]);
    assert.deepEqual(await numbers({ 'v2_net_5.pt': torch, 'v2_net_6.pt': torch }), [5, 6]);
  });

  test('files of one number are one checkpoint, ranks too; extras and other counts are not', async (t) => {
    const members = async (tree: Tree): Promise<string[]> =>
      (await unitsOf(t, tree)).map((unit) => unit.members.map((entry) => entry.path).join(' '));
    assert.deepEqual(await members({ 'model_1.pt': torch, 'optim_1.pt': torch, 'model_2.pt': torch }), [
      'model_1.pt optim_1.pt',
      'model_2.pt',
    ]);
    assert.deepEqual(await members({ 'ep1-ba7-rank0.pt': torch, 'ep1-ba7-rank1.pt': torch }), [
      'ep1-ba7-rank0.pt ep1-ba7-rank1.pt',
    ]);
    assert.equal((await members({ 'model_1.pt': torch, 'model_best_1.pt': torch })).length, 2);
    assert.equal((await members({ 'net-epoch-5.pt': torch, 'net-step-5.pt': torch })).length, 2);
  });
});

describe('huggingface', () => {
  const layoutOf = async (t: TestContext, tree: Tree): Promise<string> => {
    const dir = scratch(t);
    lay(dir, tree);
    return (await new Scanner(dir, 'auto').scan(() => false)).layout.name;
  };

  test('is known by what only the Trainer writes; checkpoint-N of others is generic', async (t) => {
    assert.equal(await layoutOf(t, trainerFolder(500)), 'huggingface');
    assert.equal(await layoutOf(t, { 'checkpoint-1/training_args.bin': torch }), 'huggingface');
    assert.equal(await layoutOf(t, { 'checkpoint-1/model.safetensors': safetensorsOf({ w: 1 }) }), 'generic');
    assert.equal(await layoutOf(t, {}), 'generic');
  });

  test('takes checkpoint-N and nothing beside it', (t) =>
    assertIds(
      t,
      { ...trainerFolder(500), ...trainerFolder(1000), 'checkpoint-best/model.safetensors': safetensorsOf({ w: 1 }), 'model-1.safetensors': safetensorsOf({ w: 1 }) }, // prettier-ignore
      ['checkpoint-500', 'checkpoint-1000'],
    ));
});

test('one without a number stands where its time puts it', () => {
  const at = (
    id: string,
    modifiedAt: number,
    number?: number,
  ): { id: string; modifiedAt: number; number?: number } =>
    number === undefined ? { id, modifiedAt } : { id, modifiedAt, number };
  const order = oldestFirst([at('last', 35), at('c', 40, 3), at('a', 10, 1), at('best', 15), at('b', 30, 2), at('new', 99)]); // prettier-ignore
  assert.deepEqual(order.map((one) => one.id), ['a', 'best', 'b', 'last', 'c', 'new']); // prettier-ignore
});
