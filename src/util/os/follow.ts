import type { FileHandle } from 'node:fs/promises';
import fs from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCode } from './durable.js';
import { findDataAfterHole, isHole } from './follow-holes.js';

export interface FollowOptions {
  /** Nothing more will be written: read to the present end and answer. */
  readonly ended: () => boolean;
  /** Stop at once, wherever the reading is. */
  readonly signal?: AbortSignal;
  /** Called where bytes of the log were released (bounded logs), with how many. */
  readonly released?: (bytes: number) => void | Promise<void>;
  /** How often a file that does not grow is looked at, ms. */
  readonly pollMs?: number;
}

/**
 * Copies a growing file to a sink from offset `from` (bytes) on, until `ended` and all is read. The next piece is
 * read only once the sink has taken the last, so a slow sink costs no memory, and delays nobody else who reads. What
 * the sink was given is overwritten once it settles.
 * A file that is not there yet is waited for.
 * @returns the offset reached
 * @throws what the sink throws, and errors of the file system other than ENOENT
 */
export async function pumpFile(
  file: string,
  from: number,
  write: (chunk: Buffer) => void | Promise<void>,
  options: FollowOptions,
): Promise<number> {
  const handle = await openWhenThere(file, options);
  if (!handle) return from;
  try {
    return await pump(handle, from, write, options);
  } finally {
    await handle.close();
  }
}

async function pump(
  handle: FileHandle,
  from: number,
  write: (chunk: Buffer) => void | Promise<void>,
  options: FollowOptions,
): Promise<number> {
  let offset = from;
  const buffer = Buffer.allocUnsafe(chunkBytes);
  for (;;) {
    const last = options.ended(); // asked before reading: what came until then is read for certain
    for (;;) {
      if (options.signal?.aborted === true) return offset;
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, offset);
      if (bytesRead === 0) break;
      if (isHole(buffer.subarray(0, bytesRead))) {
        const data = await findDataAfterHole(handle, offset);
        await options.released?.(data - offset);
        offset = data;
        continue;
      }
      await write(buffer.subarray(0, bytesRead));
      offset += bytesRead;
    }
    if (last) return offset;
    await pause(options);
  }
}

const chunkBytes = 256 * 1024;

async function openWhenThere(file: string, options: FollowOptions): Promise<FileHandle | undefined> {
  for (;;) {
    const last = options.ended() || options.signal?.aborted === true;
    try {
      return await fs.open(file, 'r');
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
    if (last) return undefined;
    await pause(options);
  }
}

async function pause({ pollMs = 50, signal }: FollowOptions): Promise<void> {
  try {
    await sleep(pollMs, undefined, signal ? { signal } : {});
  } catch (error) {
    if (errorCode(error) !== 'ABORT_ERR') throw error; // aborted: the caller looks at the signal
  }
}
