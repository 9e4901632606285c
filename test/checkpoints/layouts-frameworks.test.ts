import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { LayoutName } from '../../src/checkpoints/layouts/layout.js';
import { describeAmbiguity, layoutNames, layouts } from '../../src/checkpoints/layouts/registry.js';
import { Scanner, type Scan } from '../../src/checkpoints/scan.js';
import { layFramework, legacyFlax, saveOf, torchOf, type Tree } from './layout-samples.js';
import { root } from '../support/root.js';
import { lay, npz, safetensorsOf, scratch, trainerFolder } from './samples.js';

const scan = (dir: string, wanted: 'auto' | LayoutName = 'auto'): Promise<Scan> =>
  new Scanner(dir, wanted).scan(() => false);

async function scanOf(t: TestContext, ...trees: Tree[]): Promise<Scan> {
  const dir = scratch(t);
  for (const tree of trees) lay(dir, tree);
  return scan(dir);
}

const ids = ({ units }: Scan): string[] => units.map((unit) => unit.id);

interface Row {
  /** Oldest first, after saves at 100, 200 and 300. */
  readonly ids: readonly string[];
  readonly numbers: readonly (number | undefined)[];
  readonly members?: readonly string[];
  readonly inPlace?: readonly string[];
}

const byNumber = (name: (step: number) => string, numbers = [100, 200, 300]): Row => ({
  ids: [100, 200, 300].map(name),
  numbers,
});

const rows: Readonly<Record<LayoutName, Row>> = {
  huggingface: byNumber((step) => `checkpoint-${step}`),
  accelerate: byNumber((step) => `checkpoint_${step / 100 - 1}`, [0, 1, 2]),
  diffusers: byNumber((step) => `checkpoint-${step}`),
  lightning: {
    ids: ['epoch=0-step=100.ckpt', 'epoch=1-step=200.ckpt', 'epoch=2-step=300.ckpt', 'last.ckpt'],
    numbers: [100, 200, 300, undefined],
    inPlace: ['last.ckpt'],
  },
  deepspeed: byNumber((step) => `global_step${step}`),
  megatron: byNumber((step) => `iter_0000${step}`),
  dcp: byNumber((step) => `step-${step}`),
  orbax: byNumber(String),
  composer: {
    ...byNumber((step) => `ep0-ba${step}-rank0.pt`),
    members: [100, 200, 300].map((step) => `ep0-ba${step}-rank0.pt ep0-ba${step}-rank1.pt`),
  },
  nanogpt: { ids: ['ckpt.pt'], numbers: [undefined], inPlace: ['ckpt.pt'] },
  ultralytics: {
    ids: ['best.pt', 'last.pt'],
    numbers: [undefined, undefined],
    inPlace: ['best.pt', 'last.pt'],
  },
  keras: {
    ids: ['latest.weights.h5'],
    numbers: [undefined],
    members: ['latest.weights.h5 training_metadata.json'],
    inPlace: ['latest.weights.h5'],
  },
  flax: byNumber((step) => `checkpoint_${step}`),
  mmengine: byNumber((step) => `iter_${step}.pth`),
  generic: byNumber((step) => `step-${step}.safetensors`),
};

describe('each framework: known by its own signs, its checkpoints in their order', () => {
  for (const name of layoutNames) {
    test(name, async (t) => {
      const dir = scratch(t);
      layFramework(dir, name);
      const found = await scan(dir);
      const row = rows[name];
      assert.equal(found.layout.name, name);
      assert.deepEqual(found.alsoMatches, []);
      assert.deepEqual(ids(found), row.ids);
      assert.deepEqual(found.units.map((unit) => unit.number), row.numbers); // prettier-ignore
      const members = found.units.map((unit) => unit.members.map((entry) => entry.path).join(' '));
      assert.deepEqual(members, row.members ?? row.ids);
      assert.deepEqual(found.units.filter((unit) => unit.inPlace).map((unit) => unit.id), row.inPlace ?? []); // prettier-ignore
    });
  }
});

describe('foreign files are never part of a checkpoint', () => {
  const foreign: Tree = {
    'events.out.tfevents.1700000000.host.1.0': 'x',
    'wandb/run-1/files/config.yaml': 'a: 1',
    'data/shard-1.safetensors': safetensorsOf({ w: 3 }),
    'train.log': 'step 1',
    'hparams.yaml': 'lr: 0.1',
    'config.json': '{}',
    'notes 3.txt': 'the third try',
  };
  for (const name of layoutNames) {
    test(name, async (t) => {
      const dir = scratch(t);
      layFramework(dir, name);
      lay(dir, foreign);
      const found = await scan(dir);
      assert.equal(found.layout.name, name);
      assert.deepEqual(ids(found), rows[name].ids);
    });
  }
});

describe('--layout', () => {
  test('takes the one that was asked for, whatever the folder looks like', async (t) => {
    const dir = scratch(t);
    layFramework(dir, 'huggingface');
    for (const name of layoutNames) {
      const found = await scan(dir, name);
      assert.equal(found.layout.name, name);
      assert.deepEqual(found.alsoMatches, []);
    }
    assert.deepEqual(ids(await scan(dir, 'diffusers')), rows.diffusers.ids);
    assert.deepEqual(ids(await scan(dir, 'orbax')), []);
  });

  test('every name has one entry, with words for a person', () => {
    assert.deepEqual(layouts.map((layout) => layout.name).sort(), [...layoutNames].sort()); // prettier-ignore
    for (const { title, resume } of layouts) assert.ok(title !== '' && resume.advice.length > 10);
  });

  test('every name has its row in the documentation', () => {
    const text = readFileSync(path.join(root, 'docs/layouts.md'), 'utf8');
    const documented = [...text.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]);
    assert.deepEqual(documented, [...layoutNames]);
  });

  test('is listed in the help', () => {
    const help = readFileSync(new URL('../../src/program-flags.js', import.meta.url), 'utf8');
    for (const name of layoutNames) assert.match(help, new RegExp(`layout[^\\n]*\\b${name}\\b`));
  });
});

describe('two frameworks in one folder', () => {
  test('says which it took and how to choose the other', async (t) => {
    const dir = scratch(t);
    layFramework(dir, 'lightning');
    layFramework(dir, 'megatron');
    const found = await scan(dir);
    assert.equal(found.layout.name, 'megatron');
    assert.deepEqual(found.alsoMatches, ['lightning']);
    assert.equal(
      describeAmbiguity('/out', found),
      '/out looks like Megatron-LM and Lightning; taken as Megatron-LM, --layout lightning chooses the other',
    );
    assert.deepEqual(ids(await scan(dir, 'lightning')), rows.lightning.ids);
  });

  test('one kind of checkpoint that two frameworks could have made is not two', async (t) => {
    const trees: Tree[] = [
      { ...trainerFolder(1), 'checkpoint-1/random_states_0.pkl': torchOf() },
      saveOf.flax(3),
      { ...saveOf.mmengine(4), 'last.pt': torchOf(1, 'model') },
    ];
    for (const tree of trees) {
      const found = await scanOf(t, tree);
      assert.deepEqual(found.alsoMatches, [], found.layout.name);
      assert.equal(describeAmbiguity('/out', found), undefined);
    }
  });
});

describe('neighbours are not confused', () => {
  const expectations: readonly [string, Tree, LayoutName][] = [
    ['the Trainer with accelerate’s random states', { ...trainerFolder(5), 'checkpoint-5/random_states_0.pkl': torchOf() }, 'huggingface'],
    ['checkpoint-N with weights only', { 'checkpoint-1/model.safetensors': safetensorsOf({ w: 1 }) }, 'generic'],
    ['checkpoint_N with weights only', { 'checkpoint_1/model.safetensors': safetensorsOf({ w: 1 }) }, 'generic'],
    ['checkpoint_N of torch.save', { checkpoint_1: torchOf(), checkpoint_2: torchOf(1) }, 'generic'],
    ['flax’ legacy file', { ...legacyFlax(1), ...legacyFlax(2) }, 'flax'],
    ['an older Orbax, without a marker', { '7/default/manifest.ocdbt': 'x', '8/default/manifest.ocdbt': 'x' }, 'orbax'],
    ['Orbax with a prefix', { 'state_10/_CHECKPOINT_METADATA': '{}', 'state_9/_CHECKPOINT_METADATA': '{}' }, 'orbax'],
    ['folders called by years', { '2023/a.csv': '1', '2024/a.csv': '1' }, 'generic'],
    ['somebody else’s ckpt.pt', { 'ckpt.pt': torchOf(0, 'model', 'optimizer') }, 'generic'],
    ['last.pt alone', { 'last.pt': torchOf(0, 'model') }, 'generic'],
    ['.ckpt that is not Lightning’s', { 'model_1.ckpt': torchOf(), 'model_2.ckpt': torchOf() }, 'generic'],
    ['Lightning’s under names of one’s own', { 'digits-3.ckpt': torchOf(0, 'pytorch-lightning_version') }, 'lightning'],
    ['iter_N.pth without mmengine’s signs', { 'iter_1.pth': torchOf(), 'iter_2.pth': torchOf() }, 'generic'],
    ['text that is called latest', { latest: 'step-1.npz', 'step-1.npz': npz() }, 'generic'],
    ['a tracker without iterations', { 'latest_checkpointed_iteration.txt': '100' }, 'generic'],
    ['Megatron’s distributed checkpoint', { 'iter_0000010/common.pt': torchOf(), 'iter_0000010/__0_0.distcp': torchOf(), 'iter_0000010/.metadata': '\x80\x04.' }, 'megatron'],
    ['the weights of a model, not a backup', { 'latest.weights.h5': 'x' }, 'generic'],
    ['nothing', {}, 'generic'],
  ]; // prettier-ignore
  for (const [what, tree, layout] of expectations)
    test(what, async (t) => assert.equal((await scanOf(t, tree)).layout.name, layout));
});

describe('names that are the framework’s own way', () => {
  test('Lightning: versions of one name, epochs without a step, a best one, names without numbers', async (t) => {
    const one = torchOf(0, 'pytorch-lightning_version');
    const versions = await scanOf(t, { 'epoch=0-step=5.ckpt': one, 'epoch=0-step=5-v1.ckpt': one, 'last.ckpt': one, 'last-v1.ckpt': one }); // prettier-ignore
    assert.deepEqual(ids(versions), ['epoch=0-step=5.ckpt', 'epoch=0-step=5-v1.ckpt', 'last.ckpt', 'last-v1.ckpt']); // prettier-ignore
    const epochs = await scanOf(t, { 'epoch=10-val_loss=0.5.ckpt': one, 'epoch=9-val_loss=0.4.ckpt': one });
    assert.deepEqual(epochs.units.map(({ number, mayBeStep }) => [number, mayBeStep]), [[9, false], [10, false]]); // prettier-ignore
    const best = await scanOf(t, { 'epoch=1-step=9.ckpt': one, 'best.ckpt': one });
    assert.deepEqual(ids(best), ['best.ckpt', 'epoch=1-step=9.ckpt']);
    const plain = await scanOf(t, { 'zeta.ckpt': one, 'alpha.ckpt': one });
    assert.deepEqual(ids(plain), ['zeta.ckpt', 'alpha.ckpt'], 'by time, as Lightning has it');
  });

  test('Lightning’s last.ckpt as a link is a pointer and no checkpoint', async (t) => {
    const dir = scratch(t);
    lay(dir, { 'epoch=0-step=5.ckpt': torchOf() });
    symlinkSync('epoch=0-step=5.ckpt', path.join(dir, 'last.ckpt'));
    assert.deepEqual(ids(await scan(dir)), ['epoch=0-step=5.ckpt']);
  });

  test('DeepSpeed: tags may be called anything; what a tag is not stays foreign', async (t) => {
    const tag = (name: string): Tree => ({ [`${name}/mp_rank_00_model_states.pt`]: torchOf() });
    const found = await scanOf(t, tag('best'), tag('epoch3'), tag('epoch12'), { 'code/model.py': 'x' });
    assert.deepEqual(found.units.map(({ id, number, mayBeStep }) => [id, number, mayBeStep]), [
      ['best', undefined, false],
      ['epoch3', 3, false],
      ['epoch12', 12, false],
    ]); // prettier-ignore
  });

  test('Megatron’s release comes before every iteration', async (t) => {
    const found = await scanOf(t, saveOf.megatron(100), {
      'release/mp_rank_00/model_optim_rng.pt': torchOf(),
    });
    assert.deepEqual(ids(found), ['release', 'iter_0000100']);
  });

  test('Keras: the pair before, under both names it has had', async (t) => {
    const dir = scratch(t);
    for (const [suffix, prefix] of [['.bkp', ''], ['', '_']] as const)
      lay(dir, Object.fromEntries(Object.entries(saveOf.keras(100)).map(([name, data]) => [`${prefix}${name}${suffix}`, data])), 9e6); // prettier-ignore
    lay(dir, saveOf.keras(200));
    const found = await scan(dir);
    assert.deepEqual(ids(found), ['_latest.weights.h5', 'latest.weights.h5.bkp', 'latest.weights.h5'].sort((a, b) => ids(found).indexOf(a) - ids(found).indexOf(b))); // prettier-ignore
    assert.equal(found.units.at(-1)?.id, 'latest.weights.h5');
    assert.equal(found.units.every((unit) => unit.members.length === 2), true); // prettier-ignore
  });

  test('Ultralytics: best.pt never stands after last.pt, though it is written later', async (t) => {
    const dir = scratch(t);
    lay(dir, { ...saveOf.ultralytics(1), 'epoch5.pt': torchOf() });
    assert.deepEqual(ids(await scan(dir)), ['best.pt', 'last.pt', 'epoch5.pt']);
  });

  test('mmengine: iterations order, epochs beside them stand by their time', async (t) => {
    const found = await scanOf(t, { 'iter_10.pth': torchOf(), 'epoch_1.pth': torchOf(), 'iter_20.pth': torchOf(), last_checkpoint: 'iter_20.pth', 'best_acc_epoch_1.pth': torchOf() }); // prettier-ignore
    assert.deepEqual(ids(found), ['iter_10.pth', 'epoch_1.pth', 'iter_20.pth']);
  });

  test('generic: a folder of checkpoints is no checkpoint itself', async (t) => {
    const found = await scanOf(t, { 'checkpoints/step-1.npz': npz(), 'ckpt/model.npz': npz() });
    assert.deepEqual(ids(found), ['ckpt']);
  });

  test('generic: what a metric chose stands behind the others', async (t) => {
    const found = await scanOf(t, { 'model_1.npz': npz(), 'model_2.npz': npz(), 'best.npz': npz() });
    assert.deepEqual(ids(found), ['best.npz', 'model_1.npz', 'model_2.npz']);
    const dir = scratch(t);
    mkdirSync(path.join(dir, 'a'));
    writeFileSync(path.join(dir, 'best.npz'), npz());
    assert.deepEqual(ids(await scan(dir)), ['best.npz'], 'alone it is the only one');
  });
});
