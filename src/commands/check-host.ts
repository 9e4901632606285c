import fs from 'node:fs/promises';
import path from 'node:path';
import type { FailureKind } from '../failure/types.js';
import type { HostAnswer, HostQuestion } from '../supervisor/parts.js';
import { errorCode, errorText } from '../util/os/durable.js';
import { formatBytes } from '../util/text.js';

export interface HostNeeds {
  readonly stateDir: string;
  /** The folders that checkpoints go to. */
  readonly checkpointDirs: readonly string[];
}

/** Room for the state files, and for what is not known yet. */
const spareBytes = 1024 * 1024;

/** After these the disk may be what failed: an exit status of 1 says nothing of why. */
const mayBeTheDisk: ReadonlySet<FailureKind | undefined> = new Set(['storage', 'command', 'config', 'code']);

/**
 * What an attempt has to wait for. There must be room for one more checkpoint, whatever
 * happened before; after a failure of the disk the folders must be reachable and writable, too.
 */
export async function checkHost(question: HostQuestion, needs: HostNeeds): Promise<HostAnswer> {
  const lacking = await lackingDisk(question, needs);
  return lacking === undefined ? { type: 'ready' } : { type: 'wait', for: lacking };
}

async function lackingDisk(
  { after, saveBytes }: HostQuestion,
  { stateDir, checkpointDirs }: HostNeeds,
): Promise<string | undefined> {
  const disk = mayBeTheDisk.has(after);
  if (disk) {
    const away =
      (await probe(stateDir, 'the state folder')) ?? (await roomIn(stateDir, spareBytes, 'the state folder'));
    if (away !== undefined) return away;
  }
  if (!disk && saveBytes === undefined) return undefined;
  for (const dir of checkpointDirs) {
    const lacking = await roomIn(dir, (saveBytes ?? 0) + spareBytes, 'the checkpoint folder', saveBytes !== undefined); // prettier-ignore
    if (lacking !== undefined) return lacking;
  }
  return undefined;
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

async function roomIn(dir: string, bytes: number, what: string, known = true): Promise<string | undefined> {
  try {
    const { bavail, bsize } = await fs.statfs(dir);
    const free = bavail * bsize;
    return free >= bytes
      ? undefined
      : `${formatBytes(bytes)} of free space for ${what} ${dir} (${formatBytes(free)} there)`;
  } catch (error) {
    // a folder that was only guessed is the training's to make
    if (!known && errorCode(error) === 'ENOENT') return undefined;
    return `${what} ${dir} to be reachable again (${errorText(error)})`;
  }
}
