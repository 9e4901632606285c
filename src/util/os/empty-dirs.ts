import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode, files } from './durable.js';

/** Removes folders that are empty, and theirs up to `first`, the topmost that was made. */
export async function removeEmpty(dirs: readonly string[], first: string | undefined): Promise<void> {
  for (const start of dirs) {
    for (let dir = start; ; dir = path.dirname(dir)) {
      try {
        await files.rmdir(dir);
      } catch (error) {
        if (errorCode(error) === undefined) throw error;
        break; // not empty, or not there: somebody else's concern
      }
      if (first === undefined || dir.length <= first.length) break;
    }
  }
}

/** The topmost folder on the way to `dir` that does not exist yet; undefined: all of it is there. */
export async function missingAncestor(dir: string): Promise<string | undefined> {
  let missing: string | undefined;
  for (let at = path.resolve(dir); ; at = path.dirname(at)) {
    try {
      await fs.lstat(at);
      return missing;
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      missing = at;
    }
    if (path.dirname(at) === at) return missing;
  }
}
