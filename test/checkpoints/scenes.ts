import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, symlinkSync } from 'node:fs'; // prettier-ignore
import path from 'node:path';
import { walkDir } from '../../src/util/os/dir-walk.js';
import type { Piece } from '../../src/checkpoints/rollback/piece.js';
import type { RollbackPlace } from '../../src/checkpoints/rollback/place.js';
import type { RollbackOrder } from '../../src/checkpoints/rollback/transaction.js';
import type { HeldSpare } from '../../src/checkpoints/spares/spare.js';

// a process that is to be cut off lays nothing, and would spend its time on loading what it does not use
const samples = (): Promise<typeof import('./samples.js')> => import('./samples.js');

/** A rollback that is cut off, or whose disk fails, at each of its operations. */
export interface Scene {
  /** What is in the checkpoint folder, and in the vault, before. */
  lay(dir: string, vault: string): Promise<void>;
  order(place: RollbackPlace): Promise<RollbackOrder>;
}

const at = Date.UTC(2024, 0, 31);

export const placeIn = (parent: string): RollbackPlace => ({
  dir: path.join(parent, 'ckpts'),
  vault: path.join(parent, '.ckpts.trainguard'),
});

/** Makes a scene in an empty folder. */
export async function setUp(scene: Scene, parent: string): Promise<RollbackPlace> {
  const place = placeIn(parent);
  for (const folder of ['manifests', 'journal', 'quarantine', 'spares'])
    mkdirSync(path.join(place.vault, folder), { recursive: true });
  mkdirSync(place.dir);
  await scene.lay(place.dir, place.vault);
  return place;
}

const moveOf = ({ dir }: RollbackPlace, name: string): { id: string; name: string; inode: string } => ({
  id: name,
  name,
  inode: String(lstatSync(path.join(dir, name)).ino),
});

export const scenes: Readonly<Record<string, Scene>> = {
  'a folder a step': {
    lay: async (dir) => {
      const { lay, trainerFolder } = await samples();
      lay(dir, { ...trainerFolder(10), ...trainerFolder(20), ...trainerFolder(30) });
    },
    order: (place) =>
      Promise.resolve({
        ...{ at, reason: 'numeric', target: 'checkpoint-10' },
        moves: [moveOf(place, 'checkpoint-30'), moveOf(place, 'checkpoint-20')],
      }),
  },
  'a folder back out of a hard-link tree, over its damaged self': {
    lay: async (dir, vault) => {
      const { lay, trainerFolder } = await samples();
      lay(path.join(vault, 'spares', 'one', 'files'), trainerFolder(10));
      lay(dir, { 'checkpoint-10/model.safetensors': 'torn', ...trainerFolder(20) });
    },
    order: async (place) => ({
      ...{ at, reason: 'torn', target: 'checkpoint-10@10' },
      pieces: [await restore(place, 'checkpoint-10@10', 'links', 'checkpoint-10')],
      moves: [moveOf(place, 'checkpoint-20'), moveOf(place, 'checkpoint-10')],
    }),
  },
  'a file in place, out of a copy': {
    lay: async (dir, vault) => {
      const { lay, npz } = await samples();
      lay(path.join(vault, 'spares', 'one', 'files'), { 'ckpt.pt': npz(1200) });
      lay(dir, { 'ckpt.pt': npz(1300).subarray(0, 3000), 'train.log': 'foreign' });
    },
    order: async (place) => ({
      ...{ at, reason: 'torn', target: 'ckpt.pt@1200' },
      pieces: [await restore(place, 'ckpt.pt@1200', 'copy', 'ckpt.pt')],
      moves: [moveOf(place, 'ckpt.pt')],
    }),
  },
  'a pointer file': {
    lay: async (dir) => {
      const { lay, npz } = await samples();
      for (const step of [10, 20])
        lay(path.join(dir, `global_step${step}`), {
          'mp_rank_00_model_states.pt': npz(step),
          'zero_pp_rank_0_mp_rank_00_optim_states.pt': npz(step + 1),
        });
      lay(dir, { latest: 'global_step20' });
    },
    order: (place) =>
      Promise.resolve({
        ...{ at, reason: 'numeric', target: 'global_step10' },
        pieces: [pointer('latest', { text: 'global_step10' })],
        moves: [moveOf(place, 'global_step20')],
      }),
  },
  'a pointer link, and a second name': {
    lay: async (dir) => {
      const { lay, npz } = await samples();
      lay(dir, { 'ep1-ba10-rank0.pt': npz(10), 'ep1-ba20-rank0.pt': npz(20), 'last.ckpt': npz(20) });
      symlinkSync('ep1-ba20-rank0.pt', path.join(dir, 'latest-rank0.pt'));
    },
    order: (place) =>
      Promise.resolve({
        ...{ at, reason: 'numeric', target: 'ep1-ba10-rank0.pt' },
        pieces: [
          pointer('latest-rank0.pt', { link: 'ep1-ba10-rank0.pt' }),
          { ...pointer('last.ckpt', { copyOf: 'ep1-ba10-rank0.pt' }), takes: 'last.ckpt' },
        ],
        moves: [moveOf(place, 'ep1-ba20-rank0.pt')],
      }),
  },
  'a database and a cache beside the folder': {
    lay: async (dir, vault) => {
      const { lay, npz, trainerFolder } = await samples();
      const beside = path.dirname(dir);
      lay(dir, { ...trainerFolder(10), ...trainerFolder(20) });
      lay(beside, { 'state.sqlite': npz(20), 'cache/a': 'a', 'cache/b': 'b' });
      lay(vault, { 'included/state.sqlite': npz(10) });
    },
    order: (place) => {
      const beside = path.dirname(place.dir);
      const database = path.join(beside, 'state.sqlite');
      const cache = path.join(beside, 'cache');
      return Promise.resolve({
        ...{ at, reason: 'numeric', target: 'checkpoint-10' },
        pieces: [
          {
            ...{ id: 'state.sqlite', name: '.outside/0-state.sqlite', path: database, why: 'include' },
            source: { file: path.join(place.vault, 'included', 'state.sqlite') },
          },
        ],
        moves: [
          moveOf(place, 'checkpoint-20'),
          { ...{ id: cache, name: '.outside/1-cache', path: cache }, inode: String(statSync(cache).ino) },
        ],
      });
    },
  },
};

const pointer = (name: string, source: Piece['source']): Piece => ({
  id: name,
  name,
  why: 'pointer',
  source,
});

async function restore(
  { vault }: RollbackPlace,
  id: string,
  how: 'copy' | 'links',
  member: string,
): Promise<Piece> {
  const root = path.join(vault, 'spares', 'one', 'files');
  const { files, folders } = await walkDir(root, '', { maxFiles: 1000, maxDepth: 9 });
  const { BlockDigest } = await import('../../src/util/os/digest.js');
  const digested = files.map((file) => {
    const digest = new BlockDigest();
    digest.add(readFileSync(path.join(root, file.path)));
    return { ...file, digest: digest.finish() };
  });
  const spare: HeldSpare['spare'] = {
    ...{ schemaVersion: 1, id, of: member, how, members: [member], files: digested },
    ...{ folders: folders.filter((folder) => folder !== ''), runId: 'run-1', takenAt: at },
  };
  return { id, name: member, why: 'restore', takes: member, source: { spare: { spare, root, present: files }, member } }; // prettier-ignore
}

/** What a person sees of a folder: names, bytes and where links lead; the vault and the temporary left out. */
export function treeOf(parent: string): Record<string, string> {
  const tree: Record<string, string> = {};
  for (const name of (readdirSync(parent, { recursive: true }) as string[]).sort()) {
    if (name.startsWith('.ckpts.trainguard')) continue;
    const file = path.join(parent, name);
    const stat = lstatSync(file);
    tree[name] = stat.isSymbolicLink()
      ? `→ ${readlinkSync(file)}`
      : stat.isDirectory()
        ? 'folder'
        : createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 16);
  }
  return tree;
}

/** Every content there is, wherever it lies. */
export function contentsIn(parent: string): ReadonlySet<string> {
  const all = new Set<string>();
  for (const name of readdirSync(parent, { recursive: true }) as string[]) {
    const file = path.join(parent, name);
    const stat = lstatSync(file);
    if (stat.isSymbolicLink()) all.add(`→ ${readlinkSync(file)}`);
    else if (stat.isFile() && !/\.json(\.\w+)?$/.test(name) && !name.endsWith('.tmp'))
      all.add(createHash('sha256').update(readFileSync(file)).digest('hex'));
  }
  return all;
}

/** What must not be left in a vault once everything is finished. */
export function leftovers({ vault }: RollbackPlace): string[] {
  const names = readdirSync(vault, { recursive: true }) as string[];
  return names.filter((name) => /^journal\/.*\.(json|tmp)$/.test(name) || /^stage\//.test(name));
}
