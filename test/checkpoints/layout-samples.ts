import { symlinkSync, unlinkSync } from 'node:fs';
import path from 'node:path';
import type { LayoutName } from '../../src/checkpoints/layouts/layout.js';
import { hdf5Of, lay, noise, safetensorsOf, trainerFolder, zipOf } from './samples.js';

export type Tree = Readonly<Record<string, Buffer | string>>;

/** What `torch.save` writes, with these keys in its pickle. */
export const torchOf = (seed = 0, ...keys: string[]): Buffer =>
  zipOf([
    { name: 'archive/data.pkl', data: Buffer.concat([Buffer.from(`\x80\x02}(${keys.join('\n')}`, 'latin1'), noise(200, seed)]) },
    { name: 'archive/data/0', data: noise(300, seed) },
  ]); // prettier-ignore

/** Begins as tensorstore's `manifest.ocdbt` does, and as long as it says. */
export function ocdbtOf(size: number): Buffer {
  const file = noise(size);
  Buffer.from('\x0c\xdb\x3a\x2a', 'latin1').copy(file);
  file.writeBigUInt64LE(BigInt(size), 4);
  return file;
}

/** The same pickle that `.metadata` is: protocol 4, its stop at the end. */
const pickle = Buffer.from('\x80\x04}q\x00.', 'latin1');
/** A map of one key, as flax' msgpack begins. */
const msgpack = (seed: number): Buffer =>
  Buffer.concat([Buffer.from('\x81\xa6params', 'latin1'), noise(400, seed)]);

const accelerateState = (folder: string, step: number): Tree => ({
  [`${folder}/model.safetensors`]: safetensorsOf({ w: 100 + step }),
  [`${folder}/optimizer.bin`]: torchOf(step),
  [`${folder}/random_states_0.pkl`]: torchOf(step),
});

const orbaxState = (folder: string, step: number): Tree => ({
  [`${folder}/_METADATA`]: '{"tree_metadata": {}}',
  [`${folder}/d/${String(step).padStart(8, '0')}abcdef`]: noise(300, step),
  [`${folder}/manifest.ocdbt`]: ocdbtOf(115),
  [`${folder}/ocdbt.process_0/manifest.ocdbt`]: ocdbtOf(275),
});

/** The files of one save at a step, in the order in which the framework writes them. */
export const saveOf: Readonly<Record<LayoutName, (step: number) => Tree>> = {
  huggingface: (step) => trainerFolder(step),
  accelerate: (step) => accelerateState(`checkpoint_${step / 100 - 1}`, step),
  diffusers: (step) => accelerateState(`checkpoint-${step}`, step),
  lightning: (step) => ({
    [`epoch=${step / 100 - 1}-step=${step}.ckpt`]: torchOf(step, 'epoch', 'pytorch-lightning_version'),
    'last.ckpt': torchOf(step, 'epoch', 'pytorch-lightning_version'),
  }),
  deepspeed: (step) => ({
    ...Object.fromEntries(
      [0, 1].map((rank) => [
        `global_step${step}/zero_pp_rank_${rank}_mp_rank_00_optim_states.pt`,
        torchOf(step + rank),
      ]),
    ),
    [`global_step${step}/mp_rank_00_model_states.pt`]: torchOf(step),
    latest: `global_step${step}`,
  }),
  megatron: (step) => {
    const folder = `iter_${String(step).padStart(7, '0')}`;
    return {
      [`${folder}/mp_rank_00/model_optim_rng.pt`]: torchOf(step),
      [`${folder}/mp_rank_01/model_optim_rng.pt`]: torchOf(step + 1),
      'latest_checkpointed_iteration.txt': String(step),
    };
  },
  dcp: (step) => ({
    [`step-${step}/__0_0.distcp`]: torchOf(step),
    [`step-${step}/__1_0.distcp`]: torchOf(step + 1),
    [`step-${step}/.metadata`]: pickle,
  }),
  orbax: (step) => ({
    ...orbaxState(`${step}/default`, step),
    [`${step}/default/commit_success.txt`]: 'Checkpoint commit was successful',
    [`${step}/_CHECKPOINT_METADATA`]: '{"item_handlers": {}}',
    [`${step}/commit_success.txt`]: 'Checkpoint commit was successful',
  }),
  composer: (step) => ({
    [`ep0-ba${step}-rank0.pt`]: torchOf(step),
    [`ep0-ba${step}-rank1.pt`]: torchOf(step + 1),
  }),
  nanogpt: (step) => ({ 'ckpt.pt': torchOf(step, 'model', 'optimizer', 'model_args', 'iter_num', 'best_val_loss', 'config') }), // prettier-ignore
  ultralytics: (step) => ({
    'last.pt': torchOf(step, 'epoch', 'best_fitness', 'train_args'),
    'best.pt': torchOf(step, 'epoch', 'best_fitness', 'train_args'),
  }),
  keras: (step) => ({
    'latest.weights.h5': hdf5Of(400 + step),
    'training_metadata.json': `{"epoch": ${step / 100}, "batch": 0}`,
  }),
  flax: (step) => ({
    [`checkpoint_${step}/_CHECKPOINT_METADATA`]: '{"item_handlers": "x"}',
    ...orbaxState(`checkpoint_${step}`, step),
    [`checkpoint_${step}/commit_success.txt`]: 'Checkpoint commit was successful',
  }),
  mmengine: (step) => ({
    [`iter_${step}.pth`]: torchOf(step, 'meta', 'state_dict', 'message_hub'),
    last_checkpoint: `work_dirs/run/iter_${step}.pth`,
  }),
  generic: (step) => ({ [`step-${step}.safetensors`]: safetensorsOf({ w: 100 + step }) }),
};

/** flax' own file of msgpack, which `flax_use_orbax_checkpointing=False` writes. */
export const legacyFlax = (step: number): Tree => ({ [`checkpoint_${step}`]: msgpack(step) });

/** A folder after these saves, the last an hour ago, with the links that the framework turns. */
export function layFramework(
  dir: string,
  name: LayoutName,
  steps: readonly number[] = [100, 200, 300],
): void {
  for (const [at, step] of steps.entries()) {
    lay(dir, saveOf[name](step), 3_600_000 + (steps.length - at) * 60_000);
    if (name === 'composer')
      for (const rank of [0, 1]) turnLink(dir, `latest-rank${rank}.pt`, `ep0-ba${step}-rank${rank}.pt`);
  }
}

/** As the frameworks do it: unlink, then symlink. */
export function turnLink(dir: string, name: string, to: string): void {
  const link = path.join(dir, name);
  try {
    unlinkSync(link);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  symlinkSync(to, link);
}
