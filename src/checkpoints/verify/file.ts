import { constants } from 'node:fs';
import path from 'node:path';
import { BlockDigest, digestBlockBytes } from '../../util/os/digest.js';
import { files } from '../../util/os/durable.js';
import { formats, formatNamed, promises } from './formats.js';
import type { ContentCheck, Format, Source } from './types.js';

export interface FileVerdict {
  /** What is wrong with it, as the end of a sentence that names the file. */
  readonly damage?: string;
  /** By `digest.ts`; only after a deep look that ran to its end. */
  readonly digest?: string;
}

export interface Depth {
  /** Read every byte, or the structure only. */
  readonly deep: boolean;
  /** Asked between blocks; once it says no, only the structure counts. */
  readonly goOn: () => boolean;
}

/**
 * One file by its content: format by magic, structure, then every byte once for checksums and digest together.
 * @param expected the format its siblings have, when it must have the same
 * @throws the system's error when the file cannot be read
 */
export async function verifyFile(file: string, depth: Depth, expected?: string): Promise<FileVerdict> {
  // not a FIFO for ever, not through a link
  const handle = await files.open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const { size } = await handle.stat();
    const source: Source = {
      name: path.basename(file),
      size,
      async read(offset, length) {
        const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(length, size - offset)));
        return buffer.subarray(0, await readInto(handle, buffer, offset));
      },
    };
    const format = await recognise(source, expected);
    if (typeof format === 'string') return { damage: format };
    const structure = format ? await format.inspect(source) : {};
    if (structure.damage !== undefined) return { damage: structure.damage };
    if (!depth.deep) return {};
    return await readThrough(handle, size, structure.content, depth.goOn);
  } finally {
    await handle.close();
  }
}

/** @returns the format, undefined if its content promises nothing, or what is wrong */
async function recognise(source: Source, expected: string | undefined): Promise<Format | undefined | string> {
  const extension = path.extname(source.name).toLowerCase();
  const promised = promises[extension];
  if (source.size === 0) return promised || expected !== undefined ? 'it is empty' : undefined;
  const head = await source.read(0, 4096);
  if ((promised || expected !== undefined) && head.every((byte) => byte === 0))
    return 'it begins with zeros: its bytes never reached the disk';
  // concatenated archives: a plain zip parser would reject valid ones
  if (extension === '.distcp') return undefined;
  const format = formats.find((one) => one !== jsonFormat && one.matches(head, source.size));
  const wanted = expected === undefined ? promised : [formatNamed(expected)];
  if (Array.isArray(wanted)) {
    const found = wanted.find((one: Format | undefined) => one === format || one?.matches(head, source.size));
    return (
      found ?? `it is no ${wanted.map((one: Format | undefined) => one?.title ?? expected).join(' or ')}`
    );
  }
  return format;
}

const jsonFormat = formatNamed('json');

/** Every byte once, the next block being read while this one is looked at. */
async function readThrough(
  handle: Awaited<ReturnType<typeof files.open>>,
  size: number,
  content: ContentCheck | undefined,
  goOn: () => boolean,
): Promise<FileVerdict> {
  const digest = new BlockDigest();
  const block = Math.min(digestBlockBytes, size);
  const buffers = [Buffer.allocUnsafe(block), Buffer.allocUnsafe(size > block ? block : 0)] as const;
  try {
    let reading = readInto(handle, buffers[0], 0);
    for (let offset = 0, turn = 0; offset < size; offset += block, turn ^= 1) {
      const length = await reading;
      const current = buffers[turn === 0 ? 0 : 1].subarray(0, length);
      if (length < Math.min(block, size - offset)) return { damage: 'it became shorter while it was read' };
      reading =
        offset + block < size ? readInto(handle, buffers[turn === 0 ? 1 : 0], offset + block) : reading;
      digest.add(current);
      const wrong = await content?.feed(current, offset).catch(settleFirst(reading));
      if (wrong !== undefined || !goOn()) {
        await reading;
        return wrong === undefined ? {} : { damage: wrong };
      }
    }
    const wrong = await content?.finish();
    return wrong === undefined ? { digest: digest.finish() } : { damage: wrong };
  } finally {
    content?.abandon();
  }
}

/** The handle must not be closed under a read that is on its way. */
const settleFirst =
  (reading: Promise<number>) =>
  async (error: unknown): Promise<never> => {
    await reading;
    throw error;
  };

/** Fills the buffer from `offset`; less only at the end of the file. */
async function readInto(
  handle: Awaited<ReturnType<typeof files.open>>,
  buffer: Buffer,
  offset: number,
): Promise<number> {
  let done = 0;
  while (done < buffer.length) {
    const { bytesRead } = await handle.read(buffer, done, buffer.length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}
