import type { Stamp } from '../../util/os/dir-walk.js';
import type { FileStat } from '../unit.js';

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
  readonly files: readonly (FileStat & { readonly digest?: string })[];
  readonly folders: readonly string[];
  readonly number?: number;
  readonly step?: number;
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
