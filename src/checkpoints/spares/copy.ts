import { constants, type Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { setImmediate as breathe } from 'node:timers/promises';
import { BlockDigest, digestBlockBytes } from '../../util/os/digest.js';
import { errorCode, files, writeFully } from '../../util/os/durable.js';
import { readInto } from '../verify/read-through.js';

/** What is digested before timers and heartbeats have their turn: well under a millisecond. */
const pieceBytes = 512 * 1024;

/** A file system without reflinks, or two of them. */
const cannotClone: ReadonlySet<string> = new Set([
  'ENOTSUP',
  'EOPNOTSUPP',
  'EXDEV',
  'EINVAL',
  'ENOSYS',
  'ENOTTY',
]);

/** Copies files and takes their digests on the way; remembers whether the file system can share blocks instead. */
export class Copier {
  #mayClone = true;

  /**
   * Copies one plain file, durably, without holding up the event loop: a reflink that is read once, else 4 MiB at a
   * time, the next block being read while this one is digested and written.
   * @param to must not exist
   * @param onBytes called with how many more were read
   * @returns the digest of what was written
   * @throws the system's error; the signal's reason when it was aborted
   */
  async copy(
    from: string,
    to: string,
    signal?: AbortSignal,
    onBytes?: (bytes: number) => void,
  ): Promise<string> {
    signal?.throwIfAborted();
    if (await this.#clone(from, to)) return await digestOf(to, signal, onBytes);
    const source = await files.open(from, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const target = await files.open(to, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600);
      try {
        const digest = await pour(source, target, await source.stat(), signal, onBytes);
        await target.sync();
        return digest;
      } finally {
        await target.close();
      }
    } finally {
      await source.close();
    }
  }

  /** @returns whether `to` now shares the blocks of `from` */
  async #clone(from: string, to: string): Promise<boolean> {
    if (!this.#mayClone) return false;
    try {
      await files.copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
      return true;
    } catch (error) {
      if (!cannotClone.has(errorCode(error) ?? '')) throw error;
      this.#mayClone = false;
      return false;
    }
  }
}

/** The digest of a whole file that is made durable. */
async function digestOf(
  file: string,
  signal: AbortSignal | undefined,
  onBytes: ((bytes: number) => void) | undefined,
): Promise<string> {
  // a checkpoint that nobody may write to is cloned with its mode
  const handle = await files.open(file, constants.O_RDONLY);
  try {
    const digest = await pour(handle, undefined, await handle.stat(), signal, onBytes);
    await handle.sync();
    return digest;
  } finally {
    await handle.close();
  }
}

async function pour(
  source: FileHandle,
  target: FileHandle | undefined,
  { size }: Stats,
  signal: AbortSignal | undefined,
  onBytes: ((bytes: number) => void) | undefined,
): Promise<string> {
  const digest = new BlockDigest();
  const block = Math.min(digestBlockBytes, size);
  let free = Buffer.allocUnsafe(block);
  let next = Buffer.allocUnsafe(size > block ? block : 0);
  let reading: Promise<number> | undefined = size > 0 ? readInto(source, free, 0) : undefined;
  for (let offset = 0; offset < size && reading; offset += block) {
    const bytes = free.subarray(0, await reading);
    [free, next] = [next, free];
    const rest = Math.max(0, size - offset - block);
    reading = rest > 0 ? readInto(source, free.subarray(0, rest), offset + block) : undefined;
    const writing = target ? writeFully(target, bytes, offset) : Promise.resolve();
    // neither buffer nor handle may go while one is on its way
    const settled = Promise.allSettled([writing, reading]);
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      digest.add(bytes.subarray(at, at + pieceBytes));
      await breathe();
    }
    const [written] = await settled;
    if (written.status === 'rejected') throw written.reason;
    onBytes?.(bytes.length);
    signal?.throwIfAborted();
  }
  return digest.finish();
}
