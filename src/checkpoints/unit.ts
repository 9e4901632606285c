import type { Stamp } from '../util/os/dir-walk.js';

/** One checkpoint as it lies in the folder, before anything is known of its worth. */
export interface Unit {
  readonly id: string;
  /** Top-level names it is made of, the main one first. */
  readonly members: readonly Stamp[];
  /** Every file of it, by path relative to the checkpoint folder. */
  readonly files: readonly Stamp[];
  readonly folders: readonly string[];
  readonly number?: number;
  readonly mayBeStep: boolean;
  readonly expected: ReadonlyMap<string, string>;
  readonly barren?: boolean;
  readonly inPlace?: boolean;
  readonly chosen?: boolean;
  readonly unended?: string;
  readonly passedOver?: string;
  /** Why its files could not be listed. */
  readonly unreadable?: string;
}

/** What of a file's stat a manifest keeps; as long as it is equal the bytes count as the same. */
export interface FileStat {
  readonly path: string;
  readonly size: number;
  readonly mtimeNs: string;
  readonly inode: string;
}

/** Whether two lists, both by path, name the same files unchanged. */
export const sameFiles = (a: readonly FileStat[], b: readonly FileStat[]): boolean =>
  a.length === b.length && a.every((file, index) => sameStat(file, b[index]));

export const sameStat = (a: FileStat, b: FileStat | undefined): boolean =>
  a.path === b?.path && a.size === b.size && a.mtimeNs === b.mtimeNs && a.inode === b.inode;

export const sizeOf = (unit: Unit): number => unit.files.reduce((sum, file) => sum + file.size, 0);

/** Newest mtime among its files (its members' own, if it has none), ms since 1970. */
export const modifiedAt = (unit: Unit): number =>
  Math.max(...(unit.files.length > 0 ? unit.files : unit.members).map((file) => file.mtimeMs));

/** When the system last saw anything of it change: mtimes can be set, ctimes cannot. */
export const changedAt = (unit: Unit): number =>
  Math.max(...[...unit.files, ...unit.members].map((file) => Math.max(file.ctimeMs, file.mtimeMs)));

/** Two texts differ as soon as anything of the checkpoint does. */
export const signatureOf = (unit: Unit): string =>
  unit.files.map((file) => `${file.path}\0${file.size} ${file.mtimeNs} ${file.inode}`).join('\0');
