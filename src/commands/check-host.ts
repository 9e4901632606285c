import fs from 'node:fs/promises';
import path from 'node:path';
import type { FailureKind } from '../failure/types.js';
import { errorCode, errorText } from '../util/os/durable.js';
import { formatBytes } from '../util/text.js';

export interface HostNeeds {
  readonly stateDir: string;
  readonly checkpointDir?: string;
  /** Size of the newest checkpoint; another one must fit. undefined: not known. */
  readonly checkpointBytes?: number;
}

/** Room for the state files, and for what is not known yet. */
const spareBytes = 1024 * 1024;

/**
 * What a retry has to wait for, in words; undefined: nothing. After a storage failure the folders must be reachable and
 * writable, with room for one more checkpoint.
 */
export async function checkHost(after: FailureKind, needs: HostNeeds): Promise<string | undefined> {
  const { stateDir, checkpointDir, checkpointBytes = 0 } = needs;
  if (after !== 'storage' && after !== 'command' && after !== 'config' && after !== 'code') return undefined;
  return (
    (await probe(stateDir, 'the state folder')) ??
    (await roomIn(stateDir, spareBytes, 'the state folder')) ??
    (checkpointDir === undefined
      ? undefined
      : await roomIn(checkpointDir, checkpointBytes + spareBytes, 'the checkpoint folder'))
  );
}

async function probe(dir: string, what: string): Promise<string | undefined> {
  const file = path.join(dir, `.probe-${process.pid}`);
  try {
    await fs.writeFile(file, Buffer.alloc(4096));
    await fs.unlink(file);
    return undefined;
  } catch (error) {
    await fs.unlink(file).catch((unlinkError: unknown) => {
      if (errorCode(unlinkError) === undefined) throw unlinkError;
    });
    return `${what} ${dir} to be writable again (${errorText(error)})`;
  }
}

async function roomIn(dir: string, bytes: number, what: string): Promise<string | undefined> {
  try {
    const { bavail, bsize } = await fs.statfs(dir);
    const free = bavail * bsize;
    return free >= bytes
      ? undefined
      : `${formatBytes(bytes)} of free space for ${what} ${dir} (${formatBytes(free)} there)`;
  } catch (error) {
    return `${what} ${dir} to be reachable again (${errorText(error)})`;
  }
}
