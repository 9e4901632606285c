import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode, files } from './durable.js';

/**
 * Makes a folder and those above it that are missing, or none. Node's own `recursive` never ends where mkdir answers ENOENT
 * although the parent is there (/proc), so this goes step by step.
 * @param parentMode permission bits of the missing folders above it
 * @returns the topmost folder that was made; undefined: it was there
 * @throws the system's error; EEXIST where a file is in the way
 */
export async function makeDirs(dir: string, mode = 0o777, parentMode = mode): Promise<string | undefined> {
  try {
    await files.mkdir(dir, { mode });
    return dir;
  } catch (error) {
    const code = errorCode(error);
    if (code === 'EEXIST' && (await fs.stat(dir)).isDirectory()) return undefined;
    const parent = path.dirname(dir);
    if (code !== 'ENOENT' || parent === dir) throw error;
    const first = await makeDirs(parent, parentMode);
    try {
      await files.mkdir(dir, { mode });
      return first ?? dir;
    } catch (second) {
      // another made it in the same instant
      if (errorCode(second) === 'EEXIST' && (await fs.stat(dir)).isDirectory()) return first;
      if (first !== undefined) await removeEmptyDirs(parent, first);
      throw second;
    }
  }
}

/** Removes a folder and those above it up to `topmost`, as far as they are empty. What cannot be removed stays. */
export async function removeEmptyDirs(dir: string, topmost: string): Promise<void> {
  for (let at = dir; at.length >= topmost.length; at = path.dirname(at)) {
    try {
      await files.rmdir(at);
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      return;
    }
  }
}
