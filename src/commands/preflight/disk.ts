import fs from 'node:fs/promises';
import path from 'node:path';
import { type Lack, roomIn, spareBytes } from '../../engines/local/room.js';
import type { FailureKind } from '../../failure/types.js';
import type { HostQuestion } from '../../supervisor/parts.js';
import { errorCode, errorText } from '../../util/os/durable.js';

export interface DiskNeeds {
  readonly stateDir: string;
  /** The folders that checkpoints go to. */
  readonly checkpointDirs: readonly string[];
}

/** After these the disk may be what failed: an exit status of 1 says nothing of why. */
const mayBeTheDisk: ReadonlySet<FailureKind | undefined> = new Set(['storage', 'command', 'config', 'code']);

/**
 * There must be room for one more checkpoint, whatever happened before; after a failure of the disk the folders must
 * be reachable and writable, too.
 */
export async function lackingDisk(
  { after, saveBytes }: Pick<HostQuestion, 'after' | 'saveBytes'>,
  { stateDir, checkpointDirs }: DiskNeeds,
): Promise<Lack | undefined> {
  const disk = mayBeTheDisk.has(after);
  if (disk) {
    const away =
      (await probe(stateDir, 'the state folder', [])) ??
      (await roomIn(stateDir, spareBytes, 'the state folder'));
    if (away) return away;
  }
  if (!disk && saveBytes === undefined) return undefined;
  for (const dir of checkpointDirs) {
    const bytes = (saveBytes ?? 0) + spareBytes;
    const lacking = await roomIn(dir, bytes, 'the checkpoint folder', saveBytes !== undefined);
    if (lacking) return lacking;
    // what is not there yet is the training's to make, and what we may not do another user's training may
    const fine = ['EACCES', 'EPERM', ...(saveBytes === undefined ? ['ENOENT'] : [])];
    const away = after === 'storage' ? await probe(dir, 'the checkpoint folder', fine) : undefined;
    if (away) return away;
  }
  return undefined;
}

/** @param fine what may go wrong without it being a lack */
async function probe(dir: string, what: string, fine: readonly string[]): Promise<Lack | undefined> {
  const file = path.join(dir, `.probe-${process.pid}`);
  try {
    await fs.writeFile(file, Buffer.alloc(4096));
    await fs.unlink(file);
    return undefined;
  } catch (error) {
    if (fine.includes(errorCode(error) ?? '')) return undefined;
    await fs.unlink(file).catch((unlinkError: unknown) => {
      if (errorCode(unlinkError) === undefined) throw unlinkError;
    });
    return {
      about: `writing to ${dir}`,
      words: `${what} ${dir} to be writable again (${errorText(error)})`,
    };
  }
}
