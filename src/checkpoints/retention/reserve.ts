import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import path from 'node:path';
import { stampOf } from '../../util/os/dir-walk.js';
import { errorCode, files, syncDir, writeFully } from '../../util/os/durable.js';
import type { Result } from '../../util/result.js';

/** A rollback writes a journal and makes a folder; a journal of 10,000 names is not larger than this. */
const reserveBytes = 256 * 1024;
const nameOf = 'reserve';

/** Lays aside the room that a rollback needs on a full disk. A disk that has none is no failure. */
export async function layReserve(vault: string): Promise<void> {
  const stamp = await stampOf(vault, nameOf);
  if (stamp?.size === reserveBytes) return;
  const file = path.join(vault, nameOf);
  try {
    const handle = await files.open(file, constants.O_CREAT | constants.O_WRONLY | constants.O_TRUNC, 0o600);
    try {
      // not zeros: a file system that compresses would lay nothing aside
      await writeFully(handle, randomBytes(reserveBytes));
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    // what was taken for a part of it is better left to others
    await freeReserve(vault);
  }
}

/** @returns whether there was one, so that trying again makes sense */
export async function freeReserve(vault: string): Promise<boolean> {
  try {
    await files.unlink(path.join(vault, nameOf));
    await syncDir(vault);
    return true;
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return false;
  }
}

/** Whether the disk had no room. */
export const isFull = (result: Result<unknown>): boolean =>
  !result.ok && ['ENOSPC', 'EDQUOT'].includes(result.error.code ?? '');
