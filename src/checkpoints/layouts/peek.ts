import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import { isGone } from '../../util/os/dir-walk.js';
import { errorCode, files } from '../../util/os/durable.js';

/** A pointer file holds a name or a path. */
const longestText = 4096;
/** A checkpoint of some thousand ranks has fewer; a folder of training data has millions. */
const mostNames = 20_000;
/** Where the keys of a pickled dictionary lie, before the tensors: GPT-2's of 1.5 billion take 200 KiB. */
const headBytes = 1024 ** 2;

/** Trimmed; undefined: no such regular file, or one that is too long to be a pointer. */
export async function textOf(file: string): Promise<string | undefined> {
  const head = await headOf(file, longestText + 1);
  return head === undefined || head.length > longestText ? undefined : head.toString('utf8').trim();
}

export async function mentions(file: string, words: readonly string[]): Promise<boolean> {
  const head = await headOf(file, headBytes);
  return head !== undefined && words.every((word) => head.includes(word));
}

export async function linkOf(file: string): Promise<string | undefined> {
  try {
    return await fs.readlink(file);
  } catch (error) {
    // EINVAL: it is there and no link
    if (isClosed(error) || errorCode(error) === 'EINVAL') return undefined;
    throw error;
  }
}

/** The first of them, where there are more than any checkpoint has; none if it is gone, closed or no folder. */
export async function namesIn(dir: string): Promise<readonly string[]> {
  const names: string[] = [];
  try {
    for await (const entry of await fs.opendir(dir, { bufferSize: 256 })) {
      names.push(entry.name);
      if (names.length >= mostNames) break;
    }
    return names;
  } catch (error) {
    if (isClosed(error)) return [];
    throw error;
  }
}

async function headOf(file: string, bytes: number): Promise<Buffer | undefined> {
  try {
    const handle = await files.open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stat = await handle.stat();
      if (!stat.isFile()) return undefined;
      const buffer = Buffer.alloc(Math.min(bytes, stat.size));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (isClosed(error) || isNoFile(error)) return undefined;
    throw error;
  }
}

/** Gone, or not ours to read: there is nothing to say about it. */
export const isClosed = (error: unknown): boolean =>
  isGone(error) || ['EACCES', 'EPERM', 'EIO', 'ESTALE'].includes(errorCode(error) ?? '');

/** It is a link, a folder or a socket. */
export const isNoFile = (error: unknown): boolean =>
  ['ELOOP', 'EISDIR', 'ENXIO'].includes(errorCode(error) ?? '');
