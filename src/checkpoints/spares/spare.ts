import type { Stamp } from '../../util/os/dir-walk.js';
import { sameStat, type FileStat, type Unit } from '../unit.js';

/** A file with its digest, where every byte of it was read. */
export type DigestedFile = FileStat & { readonly digest?: string };

/**
 * A checkpoint that the vault keeps though the trainer may remove it or write over it: `spares/<name>/spare.json`
 * beside `spares/<name>/files/…`, which has the paths of the checkpoint folder.
 */
export interface Spare {
  readonly schemaVersion: 1;
  /** Unlike that of any checkpoint in the folder: `ckpt.pt@1200`. */
  readonly id: string;
  /** The checkpoint's id while it lay in the folder, and again when it is put back: `ckpt.pt`. */
  readonly of: string;
  /** `copy`: bytes of its own. `links`: hard links to the files the trainer wrote, for what is never rewritten. */
  readonly how: 'copy' | 'links';
  /** Top-level names, the main one first. */
  readonly members: readonly string[];
  /** As they were in the folder: size, mtime and inode then; digests where every byte was read. */
  readonly files: readonly DigestedFile[];
  readonly folders: readonly string[];
  readonly number?: number;
  readonly step?: number;
  /** The run that wrote the checkpoint; empty: none that is known. */
  readonly runId: string;
  /** ms since 1970. */
  readonly takenAt: number;
}

/** A spare as it lies in the vault now. */
export interface HeldSpare {
  readonly spare: Spare;
  /** Absolute; the checkpoint's files lie below it. */
  readonly root: string;
  readonly present: readonly Stamp[];
}

/** Whether two lists are of the same content: the same digests under the same names. What has none says nothing. */
export const sameBytes = (a: readonly DigestedFile[], b: readonly DigestedFile[]): boolean =>
  a.length === b.length &&
  a.length > 0 &&
  a.every((file, index) => {
    const other = b[index];
    return file.path === other?.path && file.digest !== undefined && file.digest === other.digest;
  });

/** Whether what is known of `a` holds for `b`: by their digests, where both have one, else by what lstat says of them. */
export const speaksOf = (a: readonly DigestedFile[], b: readonly DigestedFile[]): boolean =>
  a.length === b.length &&
  a.length > 0 &&
  a.every((file, index) => {
    const other = b[index];
    if (file.digest === undefined || other?.digest === undefined) return sameStat(file, other);
    return file.path === other.path && file.digest === other.digest;
  });

/** What is wrong with the spare itself, in words, by what lstat says of it; undefined: nothing. */
export function damageOf({ spare, present }: HeldSpare): string | undefined {
  const found = new Map(present.map((file) => [file.path, file] as const));
  const missing = spare.files.find((file) => found.get(file.path)?.size !== file.size);
  if (missing) return `${missing.path} is not as it was kept in the vault`;
  const rewritten =
    spare.how === 'links' && spare.files.find((file) => !sameStat(file, found.get(file.path)));
  return rewritten ? `${rewritten.path} was written over after it was kept by a hard link` : undefined;
}

/** Whether every file that the vault holds of it is also a file of the checkpoint in the folder: dropping it loses nothing. */
export function isShared({ spare, present }: HeldSpare, unit: Unit | undefined): boolean {
  const inodes = new Set(unit?.files.map((file) => file.inode));
  return spare.how === 'links' && present.every((file) => inodes.has(file.inode));
}

/** `ckpt.pt@1200`, else by when it was saved: `ckpt.pt@2024-01-31T04:05:06.789Z`. */
export function spareId(
  unit: Pick<Unit, 'id' | 'number'>,
  step: number | undefined,
  savedAt: number,
): string {
  return `${unit.id}@${step ?? unit.number ?? new Date(savedAt).toISOString()}`;
}

export const spareSize = (spare: Spare): number => spare.files.reduce((sum, file) => sum + file.size, 0);

/** Newest mtime of its files while they lay in the folder, ms since 1970. */
export const savedAt = (spare: Spare): number =>
  Math.max(...spare.files.map((file) => Number(BigInt(file.mtimeNs) / 1000n) / 1000));
