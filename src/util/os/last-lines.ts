import fs from 'node:fs/promises';
import { errorCode } from './durable.js';

/** Where the last so many lines of a file begin, if they are no longer than 64 KiB; 0 where there is no file. */
export async function lastLinesOffset(file: string, lines: number): Promise<number> {
  let handle: fs.FileHandle;
  try {
    handle = await fs.open(file, 'r');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 0;
    throw error;
  }
  try {
    const { size } = await handle.stat();
    const from = Math.max(0, size - 64 * 1024);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - from), 0, size - from, from);
    const text = buffer.subarray(0, bytesRead);
    // the newline that ends the last line begins none
    let at = text.length - 1;
    for (let n = 0; n < lines; n++) {
      const before = at <= 0 ? -1 : text.lastIndexOf('\n', at - 1);
      if (before < 0) return n === 0 || from === 0 ? from : from + at + 1;
      at = before;
    }
    return from + at + 1;
  } finally {
    await handle.close();
  }
}
