import fs from 'node:fs/promises';
import path from 'node:path';
import { isGone, walkDir } from '../../util/os/dir-walk.js';

/** Bytes that may still be written below a folder by whoever is not root. */
export async function freeBytesIn(dir: string): Promise<number> {
  const { bavail, bsize } = await fs.statfs(dir);
  return bavail * bsize;
}

/**
 * What must be free for a save of that size, bytes: a fifth more, as checkpoints grow a little, and what else is written
 * meanwhile.
 */
export const roomFor = (saveBytes: number): number => Math.ceil(1.2 * saveBytes) + 1024 * 1024;

const bounds = { maxFiles: 200_000, maxDepth: 20 };

/** Bytes that would be free without these entries: a file with other names frees nothing. */
export async function bytesOf(root: string, entries: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const entry of entries) {
    const { files, folders } = await walkDir(root, entry, bounds);
    // a plain file has no entries of its own
    const paths = files.length === 0 && folders.length === 1 ? [entry] : files.map((file) => file.path);
    for (const file of paths) bytes += await ownBytes(path.join(root, file));
  }
  return bytes;
}

async function ownBytes(file: string): Promise<number> {
  try {
    const { nlink, size } = await fs.lstat(file);
    return nlink === 1 ? size : 0;
  } catch (error) {
    if (isGone(error)) return 0;
    throw error;
  }
}
