import type { Stamp } from '../../util/os/dir-walk.js';

/**
 * What a file's content says: a checkpoint format (by its name in `verify/formats.ts`), a file that began as one or
 * never got its bytes, or something else.
 */
export type Content = { readonly known: string } | 'torn' | 'foreign';

/** How a layout looks into the checkpoint folder; answers are cached by inode, size and mtime. */
export interface Look {
  readonly dir: string;
  /** The top level of the folder, hidden and temporary names left out. */
  readonly entries: readonly Stamp[];
  /** Of a file by its bytes; of a folder: known if it holds a known one, torn if it holds nothing at all. */
  content(entry: Stamp): Promise<Content>;
  /** Whether `entry/name` is there. */
  has(entry: Stamp, name: string): Promise<boolean>;
}

/** One checkpoint, by names only: which entries of the folder's top level it is made of. */
export interface UnitDraft {
  /** The name of its main entry. */
  readonly id: string;
  /** The main one first. */
  readonly members: readonly Stamp[];
  /** The number that orders it. */
  readonly number?: number;
  /** The name itself calls that number a step. */
  readonly mayBeStep: boolean;
  /** The format each top-level file must have, by name, because its siblings have it. */
  readonly expected: ReadonlyMap<string, string>;
  /** It is a folder that holds nothing a checkpoint is made of, among siblings that do. */
  readonly barren?: boolean;
}

/** A file or link that names the latest checkpoint and that a rollback rewrites. None of the two layouts here has one. */
export interface Pointer {
  readonly name: string;
}

/** What trainguard knows of one framework's checkpoint folder. A new framework is one file and one registry entry. */
export interface Layout {
  readonly name: string;
  /** Its framework overlooks a dot-named folder among the checkpoints, so that the vault may lie there. */
  readonly bearsDotName: boolean;
  /** Files in a checkpoint's folder without which its save did not end. */
  readonly requires: readonly string[];
  /** The file and key that hold the training step. */
  readonly stepIn?: { readonly file: string; readonly key: string };
  readonly pointers: readonly Pointer[];
  /** Whether the folder is one of this framework's. */
  matches(look: Look): Promise<boolean>;
  units(look: Look): Promise<UnitDraft[]>;
}
