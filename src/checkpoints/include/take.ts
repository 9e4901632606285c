import fs from 'node:fs/promises';
import path from 'node:path';
import type { CheckpointFact } from '../../policy/checkpoint.js';
import { stampOf, walkDir, type Stamp } from '../../util/os/dir-walk.js';
import { digestBlockBytes, BlockDigest } from '../../util/os/digest.js';
import { files, syncDir, writeFileAtomic } from '../../util/os/durable.js';
import { makeDirs } from '../../util/os/make-dirs.js';
import { fileNameFor } from '../file-name.js';
import { Copier } from '../spares/copy.js';
import { type HeldKept, includesDir, type Kept, type KeptFile, recordName } from './kept.js';
import { backUp, besideDatabase, isSqlite } from './sqlite.js';

const bounds = { maxFiles: 10_000, maxDepth: 16 };

export interface Taking {
  readonly vault: string;
  /** Absolute files and folders. */
  readonly include: readonly string[];
  /** Processes of the run are at work: a database is copied as SQLite itself does it. */
  readonly live: boolean;
  readonly interpreters: readonly string[];
  /** What was kept last: a file that is still the same is not copied again. */
  readonly last: HeldKept | undefined;
  readonly now: number;
  readonly signal?: AbortSignal;
}

/** Something changed while it was copied, or cannot be copied: nothing is kept with this checkpoint. */
export class NotKept extends Error {}

/**
 * Copies what is to be kept with a checkpoint, all of it or nothing: into a folder of a hidden name, durable, then renamed.
 * @throws {NotKept} in words; the system's error; the signal's reason
 */
export async function takeIncludes(fact: CheckpointFact, taking: Taking): Promise<void> {
  const dir = includesDir(taking.vault);
  const name = fileNameFor(`${fact.id}@${fact.modifiedAt}`);
  const own = path.join(dir, `.${name.slice(0, 200)}.${taking.now}`);
  await makeDirs(own, 0o700);
  try {
    const taken = await copyAll(own, taking);
    const { id: of, modifiedAt, sizeBytes, step } = fact;
    const kept: Kept = { schemaVersion: 1, of, modifiedAt, sizeBytes, ...(step !== undefined && { step }), takenAt: taking.now, ...taken }; // prettier-ignore
    await writeFileAtomic(path.join(own, recordName), JSON.stringify(kept));
    await files.rename(own, path.join(dir, name));
    await syncDir(dir);
  } catch (error) {
    await files.rm(own, { recursive: true, force: true });
    throw error;
  }
}

async function copyAll(own: string, taking: Taking): Promise<Pick<Kept, 'roots' | 'files'>> {
  const roots: Kept['roots'][number][] = [];
  const kept: KeptFile[] = [];
  const copier = new Copier();
  for (const root of taking.include) {
    const { kind, found } = await filesOf(root, taking.live);
    roots.push({ path: root, kind });
    for (const stamp of found) kept.push(await copyOne(stamp, `${kept.length}`, own, taking, copier));
  }
  return { roots, files: kept };
}

/** What belongs to one name; a database that nobody has open comes with its journals. */
async function filesOf(
  root: string,
  live: boolean,
): Promise<{ kind: Kept['roots'][number]['kind']; found: readonly Stamp[] }> {
  const stamp = await stampAt(root);
  if (!stamp) return { kind: 'missing', found: [] };
  if (stamp.kind === 'folder') {
    const walk = await walkDir(root, '', bounds);
    if (walk.truncated)
      throw new NotKept(`${root} has more than ${bounds.maxFiles} files or ${bounds.maxDepth} folders deep`);
    // links are not followed, and devices not read
    return { kind: 'folder', found: walk.files.filter((file) => file.kind === 'file').map((file) => ({ ...file, path: path.join(root, file.path) })) }; // prettier-ignore
  }
  if (stamp.kind !== 'file') throw new NotKept(`${root} is neither a file nor a folder`);
  if (!(await isSqlite(root))) return { kind: 'file', found: [stamp] };
  if (live) return { kind: 'database', found: [stamp] };
  const journals = await Promise.all(besideDatabase.journals.map((ending) => stampAt(`${root}${ending}`)));
  return {
    kind: 'database',
    found: [stamp, ...journals.flatMap((one) => (one?.kind === 'file' ? one : []))],
  };
}

async function copyOne(
  stamp: Stamp,
  name: string,
  own: string,
  taking: Taking,
  copier: Copier,
): Promise<KeptFile> {
  const { path: file, size, mtimeNs, inode } = stamp;
  const to = path.join(own, name);
  const was = taking.last?.kept.files.find((one) => one.path === file && one.size === size && one.mtimeNs === mtimeNs && one.inode === inode); // prettier-ignore
  const database = taking.live && (await isSqlite(file));
  // a database in WAL mode changes without a change to its own file
  if (was && taking.last && !database) {
    await files.link(path.join(taking.last.folder, was.name), to);
    return { ...was, name };
  }
  if (database) {
    const failed = await backUp(file, to, taking.interpreters, taking.signal);
    taking.signal?.throwIfAborted();
    if (failed !== undefined) throw new NotKept(`${file} could not be copied by Python's sqlite3: ${failed}`);
    await dress(to, file);
    const digest = await digestOf(to);
    return { path: file, name, size: (await fs.stat(to)).size, mtimeNs, inode, digest };
  }
  const digest = await copier.copy(file, to, taking.signal);
  const now = await stampAt(file);
  if (now?.inode !== inode || now.size !== size || now.mtimeNs !== mtimeNs || now.ctimeMs !== stamp.ctimeMs)
    throw new NotKept(`${file} changed while it was copied`);
  await dress(to, file);
  return { path: file, name, size, mtimeNs, inode, digest };
}

/** A copy has the mode and times of its original, which it gets back with it; durable. */
async function dress(copy: string, original: string): Promise<void> {
  const { mode, atime, mtime } = await fs.stat(original);
  const handle = await files.open(copy, 'r');
  try {
    await handle.chmod(mode & 0o7777);
    await handle.utimes(atime, mtime);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** By absolute path. */
export async function stampAt(file: string): Promise<Stamp | undefined> {
  const stamp = await stampOf(path.dirname(file), path.basename(file));
  return stamp && { ...stamp, path: file };
}

export async function digestOf(file: string): Promise<string> {
  const handle = await files.open(file, 'r');
  try {
    const digest = new BlockDigest();
    const block = Buffer.allocUnsafe(digestBlockBytes);
    for (;;) {
      const { bytesRead } = await handle.read(block, 0, block.length, null);
      if (bytesRead === 0) break;
      digest.add(block.subarray(0, bytesRead));
    }
    return digest.finish();
  } finally {
    await handle.close();
  }
}
