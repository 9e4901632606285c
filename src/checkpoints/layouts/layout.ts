import type { Stamp } from '../../util/os/dir-walk.js';
import type { Unit } from '../unit.js';

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
  /** The next save writes over it: a copy is kept of it, never a hard link. */
  readonly inPlace?: boolean;
}

/** A name in the folder that says which checkpoint is the latest, and what it must say after a rollback. */
export type Pointer =
  /** A file of text: Megatron's tracker, DeepSpeed's `latest`. */
  | { readonly name: string; readonly text: string }
  /** A symbolic link: Composer's `latest-rank0.pt`. */
  | { readonly name: string; readonly link: string }
  /** A second name for the same bytes: Lightning's `last.ckpt`. `of` is a name in the folder. */
  | { readonly name: string; readonly copyOf: string };

/** How a program of this framework is told to resume: what `--resume-args preset` adds. `{path}`, `{step}`, `{dir}` are filled in. */
export interface ResumePreset {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly replace?: Readonly<Record<string, string>>;
  /** What must stand in the script or on its command line for it to resume, in words, for `drill` and `not-resumed`. */
  readonly advice: string;
}

/** What trainguard knows of one framework's checkpoint folder. A new framework is one file and one registry entry. */
export interface Layout {
  readonly name: string;
  /** As people call the framework. */
  readonly title: string;
  /** Its framework overlooks a dot-named folder among the checkpoints, so that the vault may lie there. */
  readonly bearsDotName: boolean;
  readonly resume: ResumePreset;
  /** The file and key that hold the training step. */
  readonly stepIn?: { readonly file: string; readonly key: string };
  /** Whether the folder is one of this framework's. */
  matches(look: Look): Promise<boolean>;
  units(look: Look): Promise<UnitDraft[]>;
  /** By names alone: why a save did not end (a missing marker, shard or rank, a temporary name); undefined: it did. */
  incomplete(unit: Unit): string | undefined;
  /**
   * What each pointer must say for `target` to be the one that training resumes from; those that say so already too.
   * @param moved names that leave the folder
   */
  pointers(look: Look, target: Unit, moved: ReadonlySet<string>): Promise<readonly Pointer[]>;
}
