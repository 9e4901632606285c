import fs from 'node:fs/promises';
import { isGone } from '../util/os/dir-walk.js';
import { errorCode } from '../util/os/durable.js';

const localMs = 2_000;
/** Attribute caches of network file systems hide a write for up to a minute (nfs(5), acdirmax 60 s). */
const networkMs = 90_000;
/** What a verification leaves of a shared file system for the training: half of a 4 Gbit/s link. */
const networkBytesPerS = 250 * 1000 * 1000;

/** statfs(2) magic numbers of file systems whose writers may be on another machine. */
const networkTypes: ReadonlySet<number> = new Set([
  0x6969, // NFS
  0xff534d42, // CIFS
  0xfe534d42, // SMB2
  0x0bd00bd0, // Lustre
  0x00c36400, // Ceph
  0x47504653, // GPFS
  0x19830326, // BeeGFS
  0x65735546, // FUSE: sshfs, gcsfuse, s3fs
]);

/** How long a checkpoint must be unchanged before it counts as written, ms. */
export const settleTime = async (dir: string): Promise<number> =>
  (await isShared(dir)) ? networkMs : localMs;

/** How fast checkpoints may be read to verify them; undefined: as fast as it goes. */
export const readRate = async (dir: string): Promise<number | undefined> =>
  (await isShared(dir)) ? networkBytesPerS : undefined;

/** Whether other machines may be using the file system too. */
async function isShared(dir: string): Promise<boolean> {
  try {
    const { type } = await fs.statfs(dir);
    return networkTypes.has(type >>> 0);
  } catch (error) {
    if (isGone(error) || ['ENOSYS', 'EACCES'].includes(errorCode(error) ?? '')) return false;
    throw error;
  }
}
