import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from '../../util/os/durable.js';
import type { LogTail } from '../../supervisor/ports.js';

/** How many lines a log has up to a byte of it. */
export interface Counted {
  /** Bytes from its start. */
  readonly offset: number;
  /** `\n` before it: a line as editors and `grep -n` count it. */
  readonly newlines: number;
}

/** The end of a log as text, and the number of its first line, from 1, if that is known. */
export type LogEnd = Pick<LogTail, 'text' | 'firstLine'>;

const start: Counted = { offset: 0, newlines: 0 };

/**
 * The last `bytes` of a log as text, from the start of a character; what was released of it is left out.
 * @param counted what is known of its lines; without it they are numbered only where the log is whole and all of it told
 */
export async function readLogEnd(file: string, bytes: number, counted = start): Promise<LogTail> {
  const source = path.basename(file);
  const end = await withFile(file, (handle) => endOf(handle, bytes, counted));
  return { source, ...(end ?? { text: '' }) };
}

/** The same of a file that is open, wherever its name went. */
export async function endOf(handle: fs.FileHandle, bytes: number, counted = start): Promise<LogEnd> {
  const { size } = await handle.stat();
  const length = Math.min(bytes, size);
  const from = size - length;
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, from);
  const text = buffer.toString('utf8', firstCharacter(buffer, from > 0), bytesRead);
  // what is released reads as zeros: the lines in it can only have been counted before
  if (counted.offset < from || (counted.offset === 0 && buffer[0] === 0)) return { text };
  const within = countNewlines(buffer.subarray(0, Math.min(bytesRead, counted.offset - from)));
  return { text, firstLine: counted.newlines - within + 1 };
}

/** How many lines a log has before a byte; undefined where that was released, or is too much to read for it. */
export async function newlinesBefore(file: string, offset: number): Promise<number | undefined> {
  if (offset === 0) return 0;
  if (offset > maxCountedBytes) return undefined;
  return await withFile(file, async (handle) => {
    const buffer = Buffer.allocUnsafe(chunkBytes);
    let newlines = 0;
    for (let at = 0; at < offset;) {
      const { bytesRead } = await handle.read(buffer, 0, Math.min(chunkBytes, offset - at), at);
      if (bytesRead === 0 || (at === 0 && buffer[0] === 0)) return undefined;
      newlines += countNewlines(buffer.subarray(0, bytesRead));
      at += bytesRead;
    }
    return newlines;
  });
}

const chunkBytes = 64 * 1024;
const maxCountedBytes = 256 * 1024 * 1024;

function countNewlines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) count++;
  return count;
}

/** undefined: there is no such file. */
async function withFile<T>(file: string, act: (handle: fs.FileHandle) => Promise<T>): Promise<T | undefined> {
  let handle;
  try {
    handle = await fs.open(file, 'r');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return await act(handle);
  } finally {
    await handle.close();
  }
}

function firstCharacter(buffer: Buffer, cut: boolean): number {
  let at = 0;
  while (at < buffer.length && buffer[at] === 0) at++;
  if (at === 0 && cut) while (at < 3 && ((buffer[at] ?? 0) & 0xc0) === 0x80) at++;
  return at;
}
