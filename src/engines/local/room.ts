import { statSync } from 'node:fs';
import fs from 'node:fs/promises';
import { errorCode, errorText } from '../../util/os/durable.js';
import { readProcText } from '../../util/os/proc.js';
import { formatBytes } from '../../util/text.js';
import { findMemoryCgroup, type Memory, readMemory } from './host-memory.js';

/** Something an attempt has to wait for. */
export interface Lack {
  /** What it is about: while this stays the same the words may change in their figures alone. */
  readonly about: string;
  /** Goes on after `waiting for`: `1.2 GiB of free space for …`. */
  readonly words: string;
}

/** Room for the state files, and for what is not known yet. */
export const spareBytes = 1024 * 1024;
/** A checkpoint may be a folder of several files; a full table of them leaves none. */
const spareFiles = 16;

/**
 * Whether there is room for `bytes` and some files in a folder.
 * @param what the folder's name in the sentence
 * @param known the folder is there, or ought to be
 */
export async function roomIn(
  dir: string,
  bytes: number,
  what: string,
  known = true,
): Promise<Lack | undefined> {
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

/** Of our cgroup, in which the training will be, or of the host: the one that is nearest to its limit. */
export const memoryNow = (): Memory | undefined =>
  readMemory(
    findMemoryCgroup(
      readProcText('/proc/self/cgroup') ?? '',
      readProcText('/proc/self/mountinfo') ?? '',
      (file) => statSync(file, { throwIfNoEntry: false })?.isFile() === true,
    ),
  );

/**
 * After the memory killer struck: at least a quarter of the memory must be free. That is a guess. What the killed
 * attempt used says less: it was killed because that was all there is.
 */
export function lackingMemory(memory: Memory | undefined): Lack | undefined {
  if (!memory) return undefined;
  const { limitBytes, usedBytes } = memory;
  const [wantedBytes, freeBytes] = [limitBytes / 4, limitBytes - usedBytes];
  if (freeBytes >= wantedBytes) return undefined;
  const seen = `${formatBytes(Math.max(0, freeBytes))} of ${formatBytes(limitBytes)} are free`;
  return { about: 'memory', words: `${formatBytes(wantedBytes)} of free memory (${seen})` };
}
