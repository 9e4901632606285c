import assert from 'node:assert/strict';
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { LayoutName, Pointer } from '../../src/checkpoints/layouts/layout.js';
import { layoutNames } from '../../src/checkpoints/layouts/registry.js';
import { disorderIn, pointersFor, pointersLeft } from '../../src/checkpoints/pointers.js';
import { Scanner } from '../../src/checkpoints/scan.js';
import type { Standing } from '../../src/policy/checkpoint.js';
import { layFramework, saveOf, torchOf, turnLink, type Tree } from './layout-samples.js';
import { lay, look, open, scratch, told, value } from './samples.js';

/** What must be written to go back to `id`, everything newer being moved. */
async function backTo(dir: string, id: string): Promise<readonly Pointer[]> {
  const scanner = new Scanner(dir, 'auto');
  const { layout, units } = await scanner.scan(() => false);
  const at = units.findIndex((unit) => unit.id === id);
  const target = units[at];
  assert.ok(target, `${id} is not among ${units.map((unit) => unit.id).join(', ')}`);
  const moved = new Set(units.slice(at + 1).flatMap((unit) => unit.members.map((entry) => entry.path)));
  return pointersFor(await scanner.look(), layout, target, moved);
}

async function disorder(dir: string, standings: Readonly<Record<string, Standing>> = {}): Promise<string | undefined> {
  const scanner = new Scanner(dir, 'auto');
  const { layout, units } = await scanner.scan(() => false);
  return disorderIn(await scanner.look(), layout, units, (id) => standings[id] ?? 'verified');
} // prettier-ignore

function folder(t: TestContext, name: LayoutName, more: Tree = {}): string {
  const dir = scratch(t);
  layFramework(dir, name);
  lay(dir, more);
  return dir;
}

const tracker = 'latest_checkpointed_iteration.txt';

describe('what a rollback must write', () => {
  const rows: readonly [LayoutName, string, readonly Pointer[]][] = [
    ['huggingface', 'checkpoint-200', []],
    ['accelerate', 'checkpoint_1', []],
    ['diffusers', 'checkpoint-200', []],
    ['lightning', 'last.ckpt', []],
    ['lightning', 'epoch=1-step=200.ckpt', [{ name: 'last.ckpt', copyOf: 'epoch=1-step=200.ckpt' }]],
    ['deepspeed', 'global_step200', [{ name: 'latest', text: 'global_step200' }]],
    ['megatron', 'iter_0000200', [{ name: tracker, text: '200' }]],
    ['dcp', 'step-200', []],
    ['orbax', '200', []],
    [
      'composer',
      'ep0-ba200-rank0.pt',
      [0, 1].map((rank) => ({ name: `latest-rank${rank}.pt`, link: `ep0-ba200-rank${rank}.pt` })),
    ],
    ['nanogpt', 'ckpt.pt', []],
    ['ultralytics', 'last.pt', []],
    ['ultralytics', 'best.pt', [{ name: 'last.pt', copyOf: 'best.pt' }]],
    ['keras', 'latest.weights.h5', []],
    ['flax', 'checkpoint_200', []],
    ['mmengine', 'iter_200.pth', [{ name: 'last_checkpoint', text: 'work_dirs/run/iter_200.pth' }]],
    ['generic', 'step-200.safetensors', []],
  ];
  for (const [name, target, expected] of rows)
    test(`${name}, back to ${target}`, async (t) =>
      assert.deepEqual(await backTo(folder(t, name), target), expected));

  test('every framework has a row', () => {
    const covered = new Set(rows.map(([name]) => name));
    assert.deepEqual(layoutNames.filter((name) => !covered.has(name)), []); // prettier-ignore
  });

  test('nothing that says so already', async (t) => {
    assert.deepEqual(await backTo(folder(t, 'deepspeed'), 'global_step300'), []);
    assert.deepEqual(await backTo(folder(t, 'megatron', { [tracker]: '0000300\n' }), 'iter_0000300'), []);
    assert.deepEqual(await backTo(folder(t, 'composer'), 'ep0-ba300-rank0.pt'), []);
  });

  test('a link stays a link, in the style that it had', async (t) => {
    const dir = scratch(t);
    lay(dir, { 'epoch=0-step=5.ckpt': torchOf(), 'epoch=1-step=9.ckpt': torchOf() });
    const target = 'epoch=0-step=5.ckpt';
    for (const [was, becomes] of [
      ['epoch=1-step=9.ckpt', target],
      ['./epoch=1-step=9.ckpt', `./${target}`],
      [path.join(dir, 'epoch=1-step=9.ckpt'), path.join(dir, target)],
      ['/a/folder/that/was/moved.ckpt', path.join(dir, target)],
    ] as const) {
      turnLink(dir, 'last.ckpt', was);
      assert.deepEqual(await backTo(dir, target), [{ name: 'last.ckpt', link: becomes }]);
    }
  });

  test('Lightning’s last.ckpt that is older than the target and stays would be resumed from', async (t) => {
    const dir = folder(t, 'lightning');
    const old = Date.now() / 1000 - 86_400;
    utimesSync(path.join(dir, 'last.ckpt'), old, old);
    const expected = [{ name: 'last.ckpt', copyOf: 'epoch=1-step=200.ckpt' }];
    assert.deepEqual(await backTo(dir, 'epoch=1-step=200.ckpt'), expected);
  });

  test('Lightning’s folders are linked: a copy is of one file', async (t) => {
    const dir = scratch(t);
    const shards = (name: string): Tree => ({
      [`${name}/__0_0.distcp`]: torchOf(),
      [`${name}/.metadata`]: 'x',
    });
    lay(dir, { ...shards('epoch=0-step=5.ckpt'), ...shards('epoch=1-step=9.ckpt'), ...shards('last.ckpt') });
    assert.deepEqual(await backTo(dir, 'epoch=0-step=5.ckpt'), [{ name: 'last.ckpt', link: 'epoch=0-step=5.ckpt' }]); // prettier-ignore
    assert.equal(await disorder(dir), undefined);
  });

  test('mmengine’s path keeps its folder, one that was copied elsewhere leads back here', async (t) => {
    const dir = folder(t, 'mmengine');
    for (const [was, becomes] of [
      ['iter_300.pth', 'iter_200.pth'],
      ['./iter_300.pth', './iter_200.pth'],
      ['runs/a/iter_300.pth', 'runs/a/iter_200.pth'],
      [`${dir}/iter_300.pth`, `${dir}/iter_200.pth`],
      [`/old/${path.basename(dir)}/iter_300.pth`, `${dir}/iter_200.pth`],
      ['/old/place/iter_300.pth', `${dir}/iter_200.pth`],
      ['', 'iter_200.pth'],
    ] as const) {
      writeFileSync(path.join(dir, 'last_checkpoint'), was);
      assert.deepEqual(await backTo(dir, 'iter_200.pth'), [{ name: 'last_checkpoint', text: becomes }]);
    }
  });

  test('no pointer that the script does not keep', async (t) => {
    const dir = folder(t, 'deepspeed');
    rmSync(path.join(dir, 'latest'));
    assert.deepEqual(await backTo(dir, 'global_step200'), []);
    const linkless = scratch(t);
    lay(linkless, { ...saveOf.composer(1), ...saveOf.composer(2) });
    assert.deepEqual(await backTo(linkless, 'ep0-ba1-rank0.pt'), []);
  });

  test('DeepSpeed’s pointer to universal checkpoints is left to those', async (t) => {
    const universal: Tree = {
      'global_step300_universal/mp_rank_00_model_states.pt': torchOf(),
      latest_universal: 'global_step300_universal',
    };
    const dir = folder(t, 'deepspeed', universal);
    assert.deepEqual(await backTo(dir, 'global_step200'), [{ name: 'latest', text: 'global_step200' }]);
  });

  test('Megatron’s release is named by its word', async (t) => {
    const dir = folder(t, 'megatron', { 'release/mp_rank_00/model_optim_rng.pt': torchOf() });
    assert.deepEqual(await backTo(dir, 'release'), [{ name: tracker, text: 'release' }]);
  });

  test('Keras reads two names: the pair before takes both', async (t) => {
    const dir = folder(t, 'keras');
    lay(dir, Object.fromEntries(Object.entries(saveOf.keras(200)).map(([name, data]) => [`${name}.bkp`, data])), 9e6); // prettier-ignore
    assert.deepEqual(await backTo(dir, 'latest.weights.h5.bkp'), [
      { name: 'latest.weights.h5', copyOf: 'latest.weights.h5.bkp' },
      { name: 'training_metadata.json', copyOf: 'training_metadata.json.bkp' },
    ]);
  });
});

test('where nothing is left to resume from, the pointers leave too', async (t) => {
  const left = async (name: LayoutName): Promise<string[]> => {
    const scanner = new Scanner(folder(t, name), 'auto');
    const { layout, units } = await scanner.scan(() => false);
    const newest = units.at(-1);
    assert.ok(newest);
    return (await pointersLeft(await scanner.look(), layout, newest)).map((entry) => entry.path);
  };
  assert.deepEqual(await left('deepspeed'), ['latest']);
  assert.deepEqual(await left('megatron'), [tracker]);
  assert.deepEqual(await left('composer'), ['latest-rank0.pt', 'latest-rank1.pt']);
  assert.deepEqual(await left('mmengine'), ['last_checkpoint']);
  assert.deepEqual(await left('lightning'), []);
  assert.deepEqual(await left('huggingface'), []);
});

describe('what a framework would stumble over', () => {
  for (const name of layoutNames)
    test(`${name} in order`, async (t) => assert.equal(await disorder(folder(t, name)), undefined));

  const wrong: readonly [string, LayoutName, (dir: string) => void, string][] = [
    ['dangling', 'deepspeed', (dir) => writeFileSync(path.join(dir, 'latest'), 'global_step900'), 'latest names "global_step900", which is not there'],
    ['empty', 'deepspeed', (dir) => writeFileSync(path.join(dir, 'latest'), ''), 'latest is empty'],
    ['empty but for a line end', 'megatron', (dir) => writeFileSync(path.join(dir, tracker), '\n'), `${tracker} is empty`],
    ['gone', 'megatron', (dir) => rmSync(path.join(dir, tracker)), `${tracker} is missing, without which training begins anew`],
    ['an iteration that is gone', 'megatron', (dir) => writeFileSync(path.join(dir, tracker), '900'), `${tracker} names "900", which is not there`],
    ['a dangling link', 'composer', (dir) => turnLink(dir, 'latest-rank1.pt', 'ep0-ba900-rank1.pt'), 'latest-rank1.pt names "ep0-ba900-rank1.pt", which is not there'],
    ['a link to itself', 'composer', (dir) => turnLink(dir, 'latest-rank0.pt', 'latest-rank0.pt'), 'latest-rank0.pt names "latest-rank0.pt", which is not there'],
    ['a path that leads nowhere', 'mmengine', (dir) => writeFileSync(path.join(dir, 'last_checkpoint'), 'a/iter_9.pth'), 'last_checkpoint names "a/iter_9.pth", which is not there'],
  ]; // prettier-ignore
  for (const [what, name, spoil, words] of wrong)
    test(`${name}: ${what}`, async (t) => {
      const dir = folder(t, name);
      spoil(dir);
      assert.equal(await disorder(dir), words);
    });

  test('one that names a bad checkpoint though a good one is there', async (t) => {
    const dir = folder(t, 'deepspeed', { latest: 'global_step200' });
    assert.equal(await disorder(dir, { global_step200: 'corrupt' }), 'latest names "global_step200", which is corrupt'); // prettier-ignore
    assert.equal(await disorder(folder(t, 'lightning'), { 'last.ckpt': 'corrupt' }), 'last.ckpt is corrupt, and resuming by that name takes it'); // prettier-ignore
  });

  test('not one that names an older good checkpoint, or another folder’s', async (t) => {
    assert.equal(await disorder(folder(t, 'deepspeed', { latest: 'global_step200' })), undefined);
    const dir = folder(t, 'composer');
    const elsewhere = path.join(scratch(t), 'ep9-ba9-rank0.pt');
    writeFileSync(elsewhere, 'x');
    turnLink(dir, 'latest-rank0.pt', elsewhere);
    assert.equal(await disorder(dir), undefined);
  });

  test('not where nothing good is left: that is another’s decision', async (t) => {
    const dir = folder(t, 'deepspeed', { latest: 'nowhere' });
    const all = { global_step100: 'corrupt', global_step200: 'corrupt', global_step300: 'partial' } as const;
    assert.equal(await disorder(dir, all), undefined);
  });

  test('a pointer that is a folder, a pipe-long text or unreadable bytes is not read as a name', async (t) => {
    const dir = folder(t, 'megatron');
    rmSync(path.join(dir, tracker));
    mkdirSync(path.join(dir, tracker));
    assert.match((await disorder(dir)) ?? '', /is missing/);
    const long = folder(t, 'deepspeed', { latest: 'x'.repeat(5000) });
    assert.equal(await disorder(long), undefined, 'no pointer file');
  });

  test('a pointer that was set back by hand passes over what was verified before', async (t) => {
    const dir = folder(t, 'megatron');
    const { store } = await open(t, dir);
    assert.deepEqual(told(await look(store)), ['iter_0000100:verified', 'iter_0000200:verified', 'iter_0000300:verified']); // prettier-ignore
    writeFileSync(path.join(dir, tracker), '100');
    const later = Date.now() / 1000 + 60;
    utimesSync(path.join(dir, tracker), later, later);
    const facts = await look(store);
    assert.deepEqual(told(facts), ['iter_0000100:verified', 'iter_0000200:partial', 'iter_0000300:partial']);
    assert.equal(facts[2]?.why, `${tracker} was set back to iter_0000100 after it`);
  });

  test('the store tells of it once nobody writes', async (t) => {
    const dir = folder(t, 'deepspeed', { latest: 'global_step900' });
    const { store } = await open(t, dir);
    const quiet = value(await store.inspect({ live: false, budgetMs: 60_000 }));
    assert.equal(quiet.disorder, 'latest names "global_step900", which is not there');
    assert.equal(value(await store.inspect({ live: true, budgetMs: 60_000 })).disorder, undefined);
    assert.deepEqual((await look(store)).map((one) => one.id), ['global_step100', 'global_step200', 'global_step300']); // prettier-ignore
  });
});
