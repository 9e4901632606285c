import type { FileHandle } from 'node:fs/promises';
import { BlockDigest, digestBlockBytes } from '../../util/os/digest.js';
import type { Pace } from './pace.js';
import type { ContentCheck, NonFinite } from './types.js';

/** What is digested and checked in one go: small enough to be in the processor's cache for the second look at it. */
const pieceBytes = 256 * 1024;

export interface Reading {
  /** Asked between pieces. */
  readonly goOn: () => boolean;
  readonly pace: Pace;
}

/** What every byte of a file said; neither damage nor digest if it was broken off. */
export interface Seen {
  readonly damage?: string;
  readonly digest?: string;
  readonly nonFinite?: NonFinite;
}

/**
 * Every byte once, for checksums and digest together, the next block being read while this one is looked at.
 * @throws the system's error when the file cannot be read
 */
export async function readThrough(
  handle: FileHandle,
  size: number,
  content: ContentCheck | undefined,
  { goOn, pace }: Reading,
): Promise<Seen> {
  const digest = new BlockDigest();
  const block = Math.min(digestBlockBytes, size);
  let free = Buffer.allocUnsafe(block);
  let spare = Buffer.allocUnsafe(size > block ? block : 0);
  let reading = begin(handle, free, 0, size);
  try {
    for (let offset = 0; offset < size; offset += block) {
      const bytes = bytesOf(await reading);
      if (bytes.length < Math.min(block, size - offset))
        return { damage: 'it became shorter while it was read' };
      [free, spare] = [spare, free];
      if (offset + block < size) reading = begin(handle, free, offset + block, size);
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        if (!goOn()) return {};
        const piece = bytes.subarray(at, at + pieceBytes);
        digest.add(piece);
        const damage = await content?.feed(piece, offset + at);
        if (damage !== undefined) return { damage };
      }
      await pace(bytes.length);
    }
    const damage = await content?.finish();
    if (damage !== undefined) return { damage };
    const nonFinite = content?.nonFinite;
    return { digest: digest.finish(), ...(nonFinite && { nonFinite }) };
  } finally {
    content?.abandon();
    // the handle must not be closed under a read that is on its way
    await reading;
  }
}

type Read = { readonly bytes: Buffer } | { readonly error: unknown };

/** Never rejects: nobody may be waiting yet when it fails. */
const begin = (handle: FileHandle, buffer: Buffer, offset: number, size: number): Promise<Read> =>
  readInto(handle, buffer.subarray(0, size - offset), offset).then(
    (length) => ({ bytes: buffer.subarray(0, length) }),
    (error: unknown) => ({ error }),
  );

function bytesOf(read: Read): Buffer {
  if ('error' in read) throw read.error;
  return read.bytes;
}

/**
 * Fills the buffer from `offset`.
 * @returns how many bytes; fewer than wanted only at the end of the file
 */
export async function readInto(handle: FileHandle, buffer: Buffer, offset: number): Promise<number> {
  let done = 0;
  while (done < buffer.length) {
    const { bytesRead } = await handle.read(buffer, done, buffer.length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}
