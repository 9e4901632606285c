import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import { errorCode, errorText } from '../util/os/durable.js';
import { wayOutOf } from './json-checkpoints-write.js';

const readBytes = 256 * 1024;

/** A checkpoint's file, open, and its content found to be what its name says. */
export interface Verified {
  readonly type: 'verified';
  readonly bytes: number;
  /** The content once more, block by block; closes the file at its end, or when it is left early. */
  read(): AsyncGenerator<Uint8Array>;
  close(): Promise<void>;
}

export type Seen = Verified | { readonly type: 'gone' } | { readonly type: 'damaged'; readonly why: string };

/**
 * Opens a checkpoint and reads it through.
 * @throws the system's error where that says nothing of the file: no more descriptors, no permission
 */
export async function verify(file: string, sha256: string): Promise<Seen> {
  let handle: fs.FileHandle | undefined;
  try {
    // a pipe of that name would be waited for
    handle = await fs.open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const opened = handle;
    if (!(await opened.stat()).isFile()) return await damaged(opened, 'it is no file');
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const block of blocks(opened)) {
      hash.update(block);
      bytes += block.length;
    }
    if (hash.digest('hex') !== sha256) return await damaged(opened, 'its SHA-256 is not the one in its name');
    const close = (): Promise<void> => opened.close();
    return { type: 'verified', bytes, read: () => closing(opened), close };
  } catch (error) {
    await handle?.close();
    if (errorCode(error) === 'ENOENT') return { type: 'gone' };
    if (errorCode(error) === 'EIO') return { type: 'damaged', why: errorText(error) };
    throw error;
  }
}

/** What lies in a worker's folder; nothing where there is none. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return await fs.readdir(folder);
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT') return [];
    const wayOut = wayOutOf(code, 'make it a folder that can be read, or choose another for checkpoints');
    const text = `cannot read the checkpoints in ${folder}: ${errorText(error)}; ${wayOut}`;
    throw Object.assign(new Error(text), { code });
  }
}

async function damaged(handle: fs.FileHandle, why: string): Promise<Seen> {
  await handle.close();
  return { type: 'damaged', why };
}

async function* closing(handle: fs.FileHandle): AsyncGenerator<Uint8Array> {
  try {
    yield* blocks(handle);
  } finally {
    await handle.close();
  }
}

/** A file from its beginning to its end. Each block is a buffer of its own. */
async function* blocks(handle: fs.FileHandle): AsyncGenerator<Uint8Array> {
  for (let at = 0; ;) {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(readBytes), 0, readBytes, at);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}
