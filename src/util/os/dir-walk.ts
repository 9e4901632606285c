import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from './durable.js';

/** What lstat says of one entry; `path` is relative to the root it was looked up from. */
export interface Stamp {
  readonly path: string;
  readonly kind: 'file' | 'folder' | 'other';
  readonly size: number;
  /** Nanoseconds since 1970, decimal: more digits than a number holds. */
  readonly mtimeNs: string;
  readonly inode: string;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  /** When the file was made; its ctime where the file system does not tell. */
  readonly bornMs: number;
}

export interface Walk {
  /** Everything that is no folder, by path. */
  readonly files: readonly Stamp[];
  /** Folders, the root's own relative path first. */
  readonly folders: readonly string[];
  /** A bound was met, so files are missing here. */
  readonly truncated: boolean;
}

const batch = 64;

/** lstat of `root/relative`; undefined if it is gone. Symbolic links are never followed. */
export async function stampOf(root: string, relative: string): Promise<Stamp | undefined> {
  try {
    const stat = await fs.lstat(path.join(root, relative), { bigint: true });
    return {
      path: relative,
      kind: stat.isFile() ? 'file' : stat.isDirectory() ? 'folder' : 'other',
      size: Number(stat.size),
      mtimeNs: String(stat.mtimeNs),
      inode: String(stat.ino),
      mtimeMs: Number(stat.mtimeMs),
      ctimeMs: Number(stat.ctimeMs),
      bornMs: Number(stat.birthtimeMs),
    };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** The entries directly in `root/relative`, by name; none if the folder is gone. */
export async function stampsIn(root: string, relative = ''): Promise<Stamp[]> {
  let names: string[];
  try {
    names = await fs.readdir(path.join(root, relative));
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
  names.sort();
  const stamps: Stamp[] = [];
  for (let at = 0; at < names.length; at += batch) {
    const some = await Promise.all(
      names.slice(at, at + batch).map((name) => stampOf(root, path.join(relative, name))),
    );
    for (const stamp of some) if (stamp) stamps.push(stamp);
  }
  return stamps;
}

/**
 * Every file below `root/relative`, links not followed, within bounds.
 * @throws the system's error, except that what vanishes meanwhile is left out
 */
export async function walkDir(
  root: string,
  relative: string,
  bounds: { readonly maxFiles: number; readonly maxDepth: number },
): Promise<Walk> {
  const files: Stamp[] = [];
  const folders: string[] = [];
  let truncated = false;
  const pending = [{ relative, depth: 0 }];
  for (let next = pending.shift(); next; next = pending.shift()) {
    folders.push(next.relative);
    for (const stamp of await stampsIn(root, next.relative)) {
      if (files.length >= bounds.maxFiles) return { files: sorted(files), folders, truncated: true };
      if (stamp.kind !== 'folder') files.push(stamp);
      else if (next.depth < bounds.maxDepth) pending.push({ relative: stamp.path, depth: next.depth + 1 });
      else truncated = true;
    }
  }
  return { files: sorted(files), folders, truncated };
}

/** The entry went away between being listed and being looked at. */
export const isGone = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? '');

const sorted = (files: Stamp[]): Stamp[] => files.sort((a, b) => (a.path < b.path ? -1 : 1));
