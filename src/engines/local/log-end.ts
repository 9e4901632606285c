import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from '../../util/os/durable.js';
import type { LogTail } from '../../supervisor/ports.js';

/** The last `bytes` of a log as text, from the start of a character; what was released of it is left out. */
export async function readLogEnd(file: string, bytes: number): Promise<LogTail> {
  const source = path.basename(file);
  let handle;
  try {
    handle = await fs.open(file, 'r');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { source, text: '' };
    throw error;
  }
  try {
    return { source, text: await endOf(handle, bytes) };
  } finally {
    await handle.close();
  }
}

/** The same of a file that is open, wherever its name went. */
export async function endOf(handle: fs.FileHandle, bytes: number): Promise<string> {
  const { size } = await handle.stat();
  const length = Math.min(bytes, size);
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, size - length);
  return buffer.toString('utf8', firstCharacter(buffer, size > length), bytesRead);
}

function firstCharacter(buffer: Buffer, cut: boolean): number {
  let at = 0;
  while (at < buffer.length && buffer[at] === 0) at++;
  if (at === 0 && cut) while (at < 3 && ((buffer[at] ?? 0) & 0xc0) === 0x80) at++;
  return at;
}
