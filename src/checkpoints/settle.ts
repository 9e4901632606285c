import fs from 'node:fs/promises';
import { isGone } from '../util/os/dir-walk.js';
import { errorCode } from '../util/os/durable.js';

const localMs = 2_000;
/** Attribute caches of network file systems hide a write for up to a minute (nfs(5), acdirmax 60 s). */
const networkMs = 90_000;

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
export async function settleTime(dir: string): Promise<number> {
  try {
    const { type } = await fs.statfs(dir);
    return networkTypes.has(type >>> 0) ? networkMs : localMs;
  } catch (error) {
    if (isGone(error) || ['ENOSYS', 'EACCES'].includes(errorCode(error) ?? '')) return localMs;
    throw error;
  }
}
