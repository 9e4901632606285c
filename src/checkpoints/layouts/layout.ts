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
  /** The names in a folder; none if it is gone, closed or no folder. */
  names(entry: Stamp): Promise<readonly string[]>;
  /** Whether the first MiB of a file holds all of these words: keys of a pickled dictionary. */
  mentions(entry: Stamp, words: readonly string[]): Promise<boolean>;
  /** The trimmed text of a small file at the folder's top; undefined: there is none that could be read. */
  text(name: string): Promise<string | undefined>;
  /** Where a symbolic link at the folder's top leads, as it is written; undefined: it is no link. */
  linkTarget(name: string): Promise<string | undefined>;
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
  /** A copy that a metric chose (`best.pt`): it stands behind every other one, however late it was written. */
  readonly chosen?: boolean;
  /** What beside it says that its save did not end, in words: the framework's own pointer still names another. */
  readonly unended?: string;
  /** That somebody told the framework to resume from an older one, in words: this holds however good it is. */
  readonly passedOver?: string;
}

/**
 * A name in the folder that says which checkpoint is the latest, and what it must say. What stood there as a regular
 * file of its own (Lightning's `last.ckpt`) is a checkpoint: it goes into quarantine, also where it is not among the
 * moves. A `copyOf` keeps the mtime and is never a hard link: the next save may write through it.
 */
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

/** What `--layout` takes besides `auto`. */
export const layoutNames = [
  'huggingface', 'accelerate', 'diffusers', 'lightning', 'deepspeed', 'megatron', 'dcp', 'orbax', 'composer',
  'nanogpt', 'ultralytics', 'keras', 'flax', 'mmengine', 'generic',
] as const; // prettier-ignore

export type LayoutName = (typeof layoutNames)[number];

/** What trainguard knows of one framework's checkpoint folder. A new framework is one file and one registry entry. */
export interface Layout {
  readonly name: LayoutName;
  /** As people call the framework. */
  readonly title: string;
  /** Its framework overlooks a dot-named folder among the checkpoints, so that the vault may lie there. */
  readonly bearsDotName: boolean;
  readonly resume: ResumePreset;
  /** A save that ended says so itself (a marker written last), so that fewer files than before are fewer ranks. */
  readonly marksEnd?: true;
  /** The file and key that hold the training step. */
  readonly stepIn?: { readonly file: string; readonly key: string };
  /** Whether the folder is one of this framework's. */
  matches(look: Look): Promise<boolean>;
  units(look: Look): Promise<UnitDraft[]>;
  /** By names alone: why a save did not end (a missing marker, shard or rank, a temporary name); undefined: it did. */
  incomplete(unit: Unit): string | undefined;
  /**
   * What each pointer must say for `target` to be the one that training resumes from; those that say so already too.
   * `target` may lie in the vault only.
   * @param moved names that leave the folder
   */
  pointers(look: Look, target: Unit, moved: ReadonlySet<string>): Promise<readonly Pointer[]>;
}
