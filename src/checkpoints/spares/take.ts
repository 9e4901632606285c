import fs from 'node:fs/promises';
import path from 'node:path';
import { stampOf } from '../../util/os/dir-walk.js';
import { files, syncDir, writeFileAtomic } from '../../util/os/durable.js';
import { fileNameFor } from '../file-name.js';
import { sameStat, type Unit } from '../unit.js';
import { inVault } from '../vault.js';
import type { Copier } from './copy.js';
import { filesFolder, recordName } from './shelf.js';
import { sameBytes, type DigestedFile, type Spare } from './spare.js';

export interface TakeOrder {
  /** The checkpoint folder, a real path. */
  readonly dir: string;
  readonly vault: string;
  readonly unit: Unit;
  /** All of the record but what taking it finds out. */
  readonly spare: Spare;
  readonly copier: Copier;
  /** Gives it up: the worker died, or the run stops. */
  readonly signal?: AbortSignal;
}

/** What became of it: `changed` means that the trainer wrote meanwhile, and nothing is kept. */
export type Taken = { readonly spare: Spare } | 'changed' | 'aborted';

const linksAtOnce = 64;

/**
 * Takes a spare whole or not at all: under a temporary name, everything flushed, then renamed. Thrown away if a file
 * changed meanwhile.
 * @throws the system's error; nothing is left then
 */
export async function takeSpare(order: TakeOrder): Promise<Taken> {
  const shelf = path.join(order.vault, inVault.spares);
  await files.mkdir(shelf, { recursive: true, mode: 0o700 });
  const name = await freeName(shelf, order.spare.id);
  const draft = path.join(shelf, `.${name}.${process.pid}.tmp`);
  try {
    await remove(draft);
    const taken = await fill(order, draft);
    if (typeof taken === 'string') {
      await remove(draft);
      return taken;
    }
    await writeFileAtomic(path.join(draft, recordName), JSON.stringify(taken));
    await files.rename(draft, path.join(shelf, name));
    await syncDir(shelf);
    return { spare: taken };
  } catch (error) {
    // where even that fails, the first error says why, and the next try begins by it
    await remove(draft).catch(() => undefined);
    if (order.signal?.aborted === true && error === order.signal.reason) return 'aborted';
    throw error;
  }
}

/** Removes what a process that was killed left half-made. Nobody else may be writing in the vault. */
export async function sweepDrafts(vault: string): Promise<void> {
  const shelf = path.join(vault, inVault.spares);
  await files.mkdir(shelf, { recursive: true, mode: 0o700 });
  for (const name of await fs.readdir(shelf)) if (name.startsWith('.')) await remove(path.join(shelf, name));
}

const remove = (folder: string): Promise<void> => files.rm(folder, { recursive: true, force: true });

async function freeName(shelf: string, id: string): Promise<string> {
  for (let n = 1; ; n++) {
    const name = fileNameFor(n === 1 ? id : `${id} ${n}`);
    if (!(await stampOf(shelf, name))) return name;
  }
}

async function fill(order: TakeOrder, draft: string): Promise<Spare | 'changed'> {
  const { unit, spare, dir } = order;
  const root = path.join(draft, filesFolder);
  await files.mkdir(root, { recursive: true, mode: 0o700 });
  for (const folder of unit.folders)
    await files.mkdir(path.join(root, folder), { recursive: true, mode: 0o700 });
  const digests = spare.how === 'links' ? await linkFiles(order, root) : await copyFiles(order, root);
  for (const file of unit.files) {
    const now = await stampOf(dir, file.path);
    // a new link to it changes the ctime of a file, a copy does not
    if (!now || !sameStat(file, now) || (spare.how === 'copy' && now.ctimeMs !== file.ctimeMs))
      return 'changed';
  }
  const copied = spare.files.map((file): DigestedFile => {
    const digest = digests.get(file.path) ?? file.digest;
    return { ...file, ...(digest === undefined ? {} : { digest }) };
  });
  // other bytes than those that were verified: somebody wrote without a trace in any stat
  const known = spare.files.filter((file) => file.digest !== undefined);
  if (
    known.length > 0 &&
    !sameBytes(
      known,
      copied.filter((file) => known.some(({ path: one }) => one === file.path)),
    )
  )
    // prettier-ignore
    return 'changed';
  for (const folder of [...unit.folders].reverse()) await syncDir(path.join(root, folder));
  await syncDir(root);
  return { ...spare, files: copied };
}

async function linkFiles(
  { unit, dir, signal }: TakeOrder,
  root: string,
): Promise<ReadonlyMap<string, string>> {
  for (let at = 0; at < unit.files.length; at += linksAtOnce) {
    signal?.throwIfAborted();
    const some = unit.files.slice(at, at + linksAtOnce);
    const made = await Promise.allSettled(some.map((file) => files.link(path.join(dir, file.path), path.join(root, file.path)))); // prettier-ignore
    const failed = made.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
  }
  return new Map();
}

async function copyFiles(order: TakeOrder, root: string): Promise<ReadonlyMap<string, string>> {
  const { unit, dir, copier, signal } = order;
  const digests = new Map<string, string>();
  for (const file of unit.files) {
    const [from, to] = [path.join(dir, file.path), path.join(root, file.path)];
    if (file.kind === 'file') digests.set(file.path, await copier.copy(from, to, signal));
    else await files.symlink(await fs.readlink(from), to);
  }
  return digests;
}
