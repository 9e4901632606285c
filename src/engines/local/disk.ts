import fs from 'node:fs/promises';
import { errorCode } from '../../util/os/durable.js';

/** What a file takes on disk in bytes, holes left out; 0 if it is gone. */
export async function bytesOnDisk(file: string): Promise<number> {
  try {
    return (await fs.stat(file)).blocks * 512; // stat counts in these, whatever the file system's blocks are
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 0;
    throw error;
  }
}

/** Free bytes of a folder's file system, for an ordinary user. */
export async function freeBytes(dir: string): Promise<number> {
  const { bavail, bsize } = await fs.statfs(dir);
  return bavail * bsize;
}
