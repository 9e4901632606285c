import assert from 'node:assert/strict';
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { incomplete } from '../../src/checkpoints/judge.js';
import type { LayoutName } from '../../src/checkpoints/layouts/layout.js';
import { layoutNames } from '../../src/checkpoints/layouts/registry.js';
import { Scanner } from '../../src/checkpoints/scan.js';
import { layFramework, saveOf, torchOf, turnLink } from './layout-samples.js';
import { lay, safetensorsOf, scratch } from './samples.js';

/** By id, for those that did not end. */
async function unendedIn(dir: string, name?: LayoutName): Promise<Record<string, string>> {
  const { layout, units } = await new Scanner(dir, name ?? 'auto').scan(() => false);
  if (name !== undefined) assert.equal(layout.name, name);
  const found: Record<string, string> = {};
  for (const [index, unit] of units.entries()) {
    const why = incomplete(layout, unit, index === units.length - 1 ? units.slice(0, index) : undefined);
    if (why !== undefined) found[unit.id] = why;
  }
  return found;
}

interface Cut {
  readonly what: string;
  readonly name: LayoutName;
  /** Spoils a folder with saves at 100, 200 and 300. */
  readonly spoil: (dir: string) => void;
  readonly expected: Record<string, string>;
}

const without =
  (...names: string[]) =>
  (dir: string): void => {
    for (const name of names) rmSync(path.join(dir, name), { recursive: true });
  };
const tracker = 'latest_checkpointed_iteration.txt';
const dated = (dir: string, name: string, at = Date.now() / 1000 - 1e5): void => utimesSync(path.join(dir, name), at, at); // prettier-ignore

const cuts: readonly Cut[] = [
  {
    what: 'the Trainer’s last file',
    name: 'huggingface',
    spoil: without('checkpoint-300/trainer_state.json'),
    expected: { 'checkpoint-300': 'trainer_state.json is missing: its save did not end' },
  },
  {
    what: 'random states',
    name: 'accelerate',
    spoil: without('checkpoint_2/random_states_0.pkl'),
    expected: { checkpoint_2: 'random_states_0.pkl is missing: its save did not end' },
  },
  {
    what: 'a rank’s random states',
    name: 'diffusers',
    spoil: (dir) => lay(dir, { 'checkpoint-300/random_states_2.pkl': torchOf() }),
    expected: { 'checkpoint-300': 'rank 1 of checkpoint-300/random_states_N.pkl is missing: its save did not end' },
  },
  {
    what: 'a rank in the middle of zero’s shards',
    name: 'deepspeed',
    spoil: without('global_step300/zero_pp_rank_0_mp_rank_00_optim_states.pt'),
    expected: {
      global_step300: 'rank 0, 0 of global_step300/zero_pp_rank_N_mp_rank_N_optim_states.pt is missing: its save did not end',
    },
  },
  {
    what: 'no model states',
    name: 'deepspeed',
    spoil: without('global_step300/mp_rank_00_model_states.pt'),
    expected: { global_step300: 'every *model_states.pt is missing: its save did not end' },
  },
  {
    what: 'a tag that was only made',
    name: 'deepspeed',
    spoil: (dir) => mkdirSync(path.join(dir, 'global_step400')),
    expected: { global_step400: 'latest still names global_step300: its save did not end' },
  },
  {
    what: 'latest written last',
    name: 'deepspeed',
    spoil: (dir) => {
      writeFileSync(path.join(dir, 'latest'), 'global_step200\n');
      dated(dir, 'latest');
    },
    expected: { global_step300: 'latest still names global_step200: its save did not end' },
  },
  {
    what: 'latest set back by hand: training resumes from there',
    name: 'deepspeed',
    spoil: (dir) => {
      writeFileSync(path.join(dir, 'latest'), 'global_step100');
      dated(dir, 'latest', Date.now() / 1000 + 60);
    },
    expected: {
      global_step200: 'latest was set back to global_step100 after it',
      global_step300: 'latest was set back to global_step100 after it',
    },
  },
  {
    what: 'a pointer that several saves left behind tells nothing',
    name: 'deepspeed',
    spoil: (dir) => {
      writeFileSync(path.join(dir, 'latest'), 'global_step100');
      dated(dir, 'latest');
    },
    expected: {},
  },
  {
    what: 'a rank’s folder without its file',
    name: 'megatron',
    spoil: without('iter_0000300/mp_rank_01/model_optim_rng.pt'),
    expected: { iter_0000300: 'iter_0000300/mp_rank_01/model_optim_rng.pt is missing: its save did not end' },
  },
  {
    what: 'the tracker written last',
    name: 'megatron',
    spoil: (dir) => {
      writeFileSync(path.join(dir, tracker), '0000200');
      dated(dir, tracker);
    },
    expected: { iter_0000300: `${tracker} still names iter_0000200: its save did not end` },
  },
  {
    what: 'tensor and pipeline ranks fill a grid',
    name: 'megatron',
    spoil: (dir) =>
      lay(dir, Object.fromEntries(['00_000', '00_001', '01_000'].map((rank) => [`iter_0000300/mp_rank_${rank}/model_optim_rng.pt`, torchOf()]))),
    expected: {
      iter_0000300: 'rank 1, 1, 0 of iter_0000300/mp_rank_N_N/model_optim_rng.pt is missing: its save did not end',
    },
  },
  {
    what: 'no .metadata',
    name: 'dcp',
    spoil: without('step-300/.metadata'),
    expected: { 'step-300': '.metadata is missing: its save did not end' },
  },
  {
    what: 'an empty step',
    name: 'dcp',
    spoil: (dir) => mkdirSync(path.join(dir, 'step-400')),
    expected: { 'step-400': '.metadata is missing: its save did not end' },
  },
  {
    what: 'written over, under the .metadata of before',
    name: 'dcp',
    spoil: (dir) => {
      // both were there, then a rank began to write
      const later = Date.now() / 1000 + 60;
      dated(dir, 'step-300/.metadata', later);
      dated(dir, 'step-300/__1_0.distcp', later + 60);
    },
    expected: {
      'step-300': 'step-300/__1_0.distcp was written over, and .metadata is still that of the save before: the save did not end',
    },
  },
  {
    what: 'no marker where the others have one',
    name: 'orbax',
    spoil: without('300/commit_success.txt'),
    expected: { '300': '300/commit_success.txt is missing, which the others have: its save did not end' },
  },
  {
    what: 'an item under its temporary name',
    name: 'orbax',
    spoil: (dir) => mkdirSync(path.join(dir, '300/extra.orbax-checkpoint-tmp')),
    expected: { '300': '300/extra.orbax-checkpoint-tmp is still under a temporary name' },
  },
  {
    what: 'a temporary folder is no checkpoint',
    name: 'orbax',
    spoil: (dir) => lay(dir, { '400.orbax-checkpoint-tmp/_CHECKPOINT_METADATA': '{}' }),
    expected: {},
  },
  {
    what: 'flax through Orbax, without its marker',
    name: 'flax',
    spoil: without('checkpoint_300/commit_success.txt'),
    expected: { checkpoint_300: 'checkpoint_300/commit_success.txt is missing, which the others have: its save did not end' },
  },
  {
    what: 'flax’ file without bytes',
    name: 'flax',
    spoil: (dir) => writeFileSync(path.join(dir, 'checkpoint_400'), ''),
    expected: { checkpoint_400: 'checkpoint_400 is empty: its save did not end' },
  },
  {
    what: 'a rank that the ones before had',
    name: 'composer',
    spoil: without('ep0-ba300-rank1.pt'),
    expected: { 'ep0-ba300-rank0.pt': 'epN-baN-rankN.pt is missing, which every checkpoint before it has' },
  },
  {
    what: 'the first rank, which names the checkpoint otherwise',
    name: 'composer',
    spoil: without('ep0-ba300-rank0.pt'),
    expected: { 'ep0-ba300-rank1.pt': 'rank 0 of epN-baN-rankN.pt is missing: its save did not end' },
  },
  {
    what: 'a rank’s link that was not turned',
    name: 'composer',
    spoil: (dir) => {
      turnLink(dir, 'latest-rank1.pt', 'ep0-ba200-rank1.pt');
      const later = Date.now() / 1000 + 60;
      for (const rank of [0, 1]) dated(dir, `ep0-ba300-rank${rank}.pt`, later);
    },
    expected: { 'ep0-ba300-rank0.pt': 'latest-rank1.pt still names ep0-ba200-rank0.pt: its save did not end' },
  },
  {
    what: 'links turned last',
    name: 'composer',
    spoil: (dir) => {
      turnLink(dir, 'latest-rank0.pt', 'ep0-ba300-rank0.pt');
      lay(dir, saveOf.composer(400), -5000);
    },
    expected: { 'ep0-ba400-rank0.pt': 'latest-rank0.pt still names ep0-ba300-rank0.pt: its save did not end' },
  },
  {
    what: 'weights that are younger than their metadata',
    name: 'keras',
    spoil: (dir) => dated(dir, 'training_metadata.json'),
    expected: { 'latest.weights.h5': 'training_metadata.json is older than latest.weights.h5: its save did not end' },
  },
  {
    what: 'mmengine’s pointer written last',
    name: 'mmengine',
    spoil: (dir) => {
      writeFileSync(path.join(dir, 'last_checkpoint'), '/elsewhere/iter_200.pth');
      dated(dir, 'last_checkpoint');
    },
    expected: { 'iter_300.pth': 'last_checkpoint still names iter_200.pth: its save did not end' },
  },
  {
    what: 'shards of a folder strategy',
    name: 'lightning',
    spoil: (dir) => lay(dir, { 'epoch=3-step=400.ckpt/__0_0.distcp': torchOf() }),
    expected: { 'epoch=3-step=400.ckpt': 'epoch=3-step=400.ckpt/.metadata is missing: its save did not end' },
  },
]; // prettier-ignore

describe('a save that ended', () => {
  for (const name of layoutNames) {
    test(name, async (t) => {
      const dir = scratch(t);
      layFramework(dir, name);
      assert.deepEqual(await unendedIn(dir, name), {});
    });
  }
});

describe('a save that did not end', () => {
  for (const { what, name, spoil, expected } of cuts) {
    test(`${name}: ${what}`, async (t) => {
      const dir = scratch(t);
      layFramework(dir, name);
      spoil(dir);
      assert.deepEqual(await unendedIn(dir, name), expected);
    });
  }
});

describe('whatever the framework', () => {
  const laid = (t: TestContext, tree: Readonly<Record<string, Buffer | string>>): string => {
    const dir = scratch(t);
    lay(dir, tree);
    return dir;
  };
  const weights = safetensorsOf({ w: 3 });

  test('files that count themselves are all there', async (t) => {
    const three = ['00001', '00002', '00004'].map((n) => [`checkpoint-1/model-${n}-of-00004.safetensors`, weights] as const); // prettier-ignore
    const dir = laid(t, Object.fromEntries(three));
    const why =
      '1 of the 4 files checkpoint-1/model-N-of-00004.safetensors are missing: its save did not end';
    assert.deepEqual(await unendedIn(dir), { 'checkpoint-1': why });
    lay(dir, { 'checkpoint-1/model-00003-of-00004.safetensors': weights });
    assert.deepEqual(await unendedIn(dir), {});
  });

  test('a temporary file of safetensors tells of a kill', async (t) => {
    const dir = laid(t, {
      ...saveOf.diffusers(100),
      ...saveOf.diffusers(200),
      'checkpoint-200/.tmpwEHAsE': 'x',
    });
    assert.deepEqual(await unendedIn(dir), { 'checkpoint-200': 'checkpoint-200/.tmpwEHAsE is still under a temporary name' }); // prettier-ignore
  });

  test('fewer ranks than before are no loss where the end of a save is marked', async (t) => {
    const ranks = (step: number, count: number): Record<string, Buffer> =>
      Object.fromEntries(
        Array.from({ length: count }, (_, rank) => [
          `checkpoint-${step}/rng_state_${rank}.pth`,
          torchOf(rank),
        ]),
      );
    const dir = laid(t, { ...saveOf.huggingface(100), ...ranks(100, 4), ...saveOf.huggingface(200), ...ranks(200, 2) }); // prettier-ignore
    assert.deepEqual(await unendedIn(dir, 'huggingface'), {});
  });

  test('a copied folder, whose shards are younger files than .metadata, is whole', async (t) => {
    const dir = scratch(t);
    lay(dir, { 'step-1/.metadata': '\x80\x04.' }, 9_000_000);
    lay(dir, { 'step-1/__0_0.distcp': torchOf() }, 8_000_000);
    assert.deepEqual(await unendedIn(dir, 'dcp'), {});
  });
});
