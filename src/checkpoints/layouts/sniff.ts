import { constants } from 'node:fs';
import { files } from '../../util/os/durable.js';
import { hdf5 } from '../verify/hdf5.js';
import { json } from '../verify/json.js';
import { pickle } from '../verify/pickle.js';
import { safetensors } from '../verify/safetensors.js';
import { zip } from '../verify/zip.js';
import type { Content } from './layout.js';

const lookBytes = 64 * 1024;

/** Names of entries that only a checkpoint's archive holds: numpy arrays, torch's pickle, Keras' weights. */
const archiveMembers = /\.npy|data\.pkl|model\.weights\.h5/;

/**
 * What a file's first and last 64 KiB say it is: never its extension.
 * @throws the system's error when it cannot be read
 */
export async function sniffFile(path: string, size: number): Promise<Content> {
  if (size === 0) return 'torn';
  const handle = await files.open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const read = async (offset: number, length: number): Promise<Buffer> => {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    };
    const head = await read(0, Math.min(size, 4096));
    if (head.every((byte) => byte === 0)) return 'torn';
    if (zip.matches(head, size)) {
      if (archiveMembers.test(head.toString('latin1'))) return { known: zip.name };
      const tail = await read(Math.max(0, size - lookBytes), Math.min(size, lookBytes));
      if (archiveMembers.test(tail.toString('latin1'))) return { known: zip.name };
      return tail.includes('PK\x05\x06', 0, 'latin1') ? 'foreign' : 'torn';
    }
    for (const format of [safetensors, hdf5, pickle])
      if (format.matches(head, size)) return { known: format.name };
    if (json.matches(head, size) && looksLikeJson(head)) return { known: json.name };
    return size < 4 && 'PK\x03'.startsWith(head.toString('latin1')) ? 'torn' : 'foreign';
  } finally {
    await handle.close();
  }
}

/** A bracket also begins log lines (`[2024-01-01] …`). */
const looksLikeJson = (head: Buffer): boolean =>
  /^(?:\ufeff)?\s*(?:\{\s*(?:"|\}|$)|\[\s*(?:[{["\]]|-?\d+(?:\.\d+)?\s*[,\]]|$))/.test(head.toString('utf8'));
