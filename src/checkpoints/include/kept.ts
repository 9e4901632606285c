import fs from 'node:fs/promises';
import path from 'node:path';
import type { CheckpointFact } from '../../policy/checkpoint.js';
import { isGone } from '../../util/os/dir-walk.js';
import { files } from '../../util/os/durable.js';

/** One file as it was with a checkpoint. */
export interface KeptFile {
  /** Absolute: where it belongs. */
  readonly path: string;
  /** Its copy, in the record's folder. */
  readonly name: string;
  readonly size: number;
  /** Of the original; nanoseconds since 1970. */
  readonly mtimeNs: string;
  readonly inode: string;
  /** Of the copy, which differs from the original's where a living database was copied. */
  readonly digest: string;
}

/** What `checkpoints.include` names, as it was with one checkpoint: `includes/<name>/include.json` and the copies beside it. */
export interface Kept {
  readonly schemaVersion: 1;
  /** The checkpoint's id then. */
  readonly of: string;
  readonly modifiedAt: number;
  readonly sizeBytes: number;
  readonly step?: number;
  /** ms since 1970. */
  readonly takenAt: number;
  readonly roots: readonly {
    readonly path: string;
    readonly kind: 'file' | 'folder' | 'database' | 'missing';
  }[];
  readonly files: readonly KeptFile[];
}

/** One that lies in the vault; absolute. */
export interface HeldKept {
  readonly folder: string;
  readonly kept: Kept;
}

export const includesDir = (vault: string): string => path.join(vault, 'includes');
export const recordName = 'include.json';

/** So many are kept of checkpoints that are there, and of those that are not: a rollback may be undone. */
const most = { present: 20, gone: 5 };

/** Every one there is, oldest first. What has no record is none. */
export async function keptIn(vault: string): Promise<readonly HeldKept[]> {
  const held: HeldKept[] = [];
  for (const name of await namesIn(includesDir(vault))) {
    if (name.startsWith('.')) continue;
    const folder = path.join(includesDir(vault), name);
    const kept = await readKept(path.join(folder, recordName));
    if (kept) held.push({ folder, kept });
  }
  return held.sort((a, b) => a.kept.takenAt - b.kept.takenAt);
}

/** What was kept with a checkpoint, also once it is called otherwise because it lies in the vault (`ckpt.pt@1200`). */
export const keptWith = (held: readonly HeldKept[], fact: CheckpointFact): HeldKept | undefined =>
  held.findLast(({ kept }) => isOf(kept, fact));

const isOf = (kept: Kept, { id, modifiedAt, sizeBytes }: CheckpointFact): boolean =>
  (id === kept.of || id.startsWith(`${kept.of}@`)) &&
  modifiedAt === kept.modifiedAt &&
  sizeBytes === kept.sizeBytes;

/** Those beyond the bound, oldest first. Pure. */
export function surplus(held: readonly HeldKept[], facts: readonly CheckpointFact[]): readonly HeldKept[] {
  const isPinned = (one: HeldKept): boolean =>
    facts.some((fact) => fact.pinned === true && isOf(one.kept, fact));
  const present = held.filter((one) => facts.some((fact) => isOf(one.kept, fact)) && !isPinned(one));
  const gone = held.filter((one) => !facts.some((fact) => isOf(one.kept, fact)));
  return [...present.slice(0, -most.present), ...gone.slice(0, -most.gone)];
}

/** Removes one. Its record goes first: half of it is none. */
export async function drop({ folder }: HeldKept): Promise<void> {
  await files.rm(path.join(folder, recordName), { force: true });
  await files.rm(folder, { recursive: true, force: true });
}

/** Removes what a killed process left half-made. */
export async function sweep(vault: string): Promise<void> {
  for (const name of await namesIn(includesDir(vault)))
    if (name.startsWith('.'))
      await files.rm(path.join(includesDir(vault), name), { recursive: true, force: true });
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return await fs.readdir(dir);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** @returns undefined if it is none, or damaged: then nothing was kept */
async function readKept(file: string): Promise<Kept | undefined> {
  try {
    const value: unknown = JSON.parse(await fs.readFile(file, 'utf8'));
    return isKept(value) ? value : undefined;
  } catch (error) {
    if (isGone(error) || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function isKept(value: unknown): value is Kept {
  if (typeof value !== 'object' || value === null) return false;
  const { schemaVersion, of, modifiedAt, sizeBytes, roots, files: list } = value as Record<string, unknown>;
  return (
    schemaVersion === 1 &&
    typeof of === 'string' &&
    typeof modifiedAt === 'number' &&
    typeof sizeBytes === 'number' &&
    Array.isArray(roots) &&
    roots.every(
      (root: Partial<Kept['roots'][number]> | null) =>
        typeof root?.path === 'string' && path.isAbsolute(root.path),
    ) &&
    Array.isArray(list) &&
    list.every(isKeptFile)
  );
}

/** Copies have plain names: a damaged record cannot put anything else in place. */
function isKeptFile(value: unknown): value is KeptFile {
  if (typeof value !== 'object' || value === null) return false;
  const { path: file, name, digest } = value as Record<string, unknown>;
  return typeof file === 'string' && path.isAbsolute(file) && typeof digest === 'string' && typeof name === 'string' && /^\d+$/.test(name); // prettier-ignore
}
