import fs from 'node:fs/promises';
import path from 'node:path';
import type { FailureKind } from '../../failure/types.js';
import type { HostQuestion } from '../../supervisor/parts.js';
import { errorCode, errorText } from '../../util/os/durable.js';
import { formatBytes } from '../../util/text.js';
import type { Lack } from './lack.js';

export interface DiskNeeds {
  readonly stateDir: string;
  /** The folders that checkpoints go to. */
  readonly checkpointDirs: readonly string[];
}

/** Room for the state files, and for what is not known yet. */
const spareBytes = 1024 * 1024;
/** A checkpoint may be a folder of several files; a full table of them leaves none. */
const spareFiles = 16;

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

async function roomIn(dir: string, bytes: number, what: string, known = true): Promise<Lack | undefined> {
  try {
    const { bavail, bsize, files, ffree } = await fs.statfs(dir);
    const free = bavail * bsize;
    if (free < bytes) {
      return {
        about: `room in ${dir}`,
        words: `${formatBytes(bytes)} of free space for ${what} ${dir} (${formatBytes(free)} there)`,
      };
    }
    // 0 of 0: a file system that makes them as it needs them (btrfs)
    if (files > 0 && ffree < spareFiles) {
      const some = `${ffree} of ${files} inodes are free, though there is space`;
      return {
        about: `files in ${dir}`,
        words: `room for more files on the disk of ${what} ${dir} (${some}; remove some)`,
      };
    }
    return undefined;
  } catch (error) {
    // a folder that was only guessed is the training's to make
    if (!known && errorCode(error) === 'ENOENT') return undefined;
    return {
      about: `reaching ${dir}`,
      words: `${what} ${dir} to be reachable again (${errorText(error)})`,
    };
  }
}
