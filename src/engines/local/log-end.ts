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
    const { size } = await handle.stat();
    const length = Math.min(bytes, size);
    const buffer = Buffer.alloc(length);
    const { bytesRead } = await handle.read(buffer, 0, length, size - length);
    return { source, text: buffer.toString('utf8', firstCharacter(buffer, size > length), bytesRead) };
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
