import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { files } from '../../util/os/durable.js';
import { formatNamed, formatOf, promisedBy } from './formats.js';
import { paceOf } from './pace.js';
import { readInto, readThrough } from './read-through.js';
import type { Format, NonFinite, Source, Structure } from './types.js';

export interface FileVerdict {
  /** What is wrong with it, as the end of a sentence that names the file. */
  readonly damage?: string;
  /** By `digest.ts`; only after a deep look that ran to its end. */
  readonly digest?: string;
  readonly nonFinite?: NonFinite;
  /** What cannot be told of it from outside, in words. */
  readonly unproven?: string;
}

export interface Depth {
  /** Read every byte, or the structure only. */
  readonly deep: boolean;
  /** Asked every few milliseconds of work; once it says no, only the structure counts. */
  readonly goOn: () => boolean;
  /** How fast every byte may be read; undefined: as fast as it goes. */
  readonly readBytesPerS?: number;
}

/**
 * One file by its content: format by magic, structure, then every byte once for checksums and digest together.
 * @param expected the format its siblings have, when it must have the same
 * @throws the system's error when the file cannot be read
 */
export async function verifyFile(
  file: string,
  depth: Depth,
  expected?: string,
  pace = paceOf(depth.readBytesPerS),
): Promise<FileVerdict> {
  // not a FIFO for ever, not through a link
  const handle = await files.open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) return { damage: 'it is no plain file' };
    const { size } = stat;
    const source = await sourceOf(handle, path.basename(file), size);
    const format = await recognise(source, expected);
    if (typeof format === 'string') return { damage: format };
    const structure: Structure = format ? await format.inspect(source) : {};
    if (structure.damage !== undefined) return { damage: structure.damage };
    const { content, unproven } = structure;
    const read = depth.deep ? await readThrough(handle, size, content, { goOn: depth.goOn, pace }) : {};
    return { ...read, ...(unproven !== undefined && { unproven }) };
  } finally {
    await handle.close();
  }
}

/** What most files' structure is told by; read at once, since a thousand small files cost a thousand times the calls. */
const headBytes = 16 * 1024;

async function sourceOf(handle: FileHandle, name: string, size: number): Promise<Source> {
  const read = async (offset: number, length: number): Promise<Buffer> => {
    const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(length, size - offset)));
    return buffer.subarray(0, await readInto(handle, buffer, offset));
  };
  const head = await read(0, headBytes);
  return {
    name,
    size,
    read: (offset, length) =>
      offset + length <= head.length
        ? Promise.resolve(head.subarray(offset, offset + length))
        : read(offset, length),
  };
}

/** @returns the format, undefined if its content promises nothing, or what is wrong */
async function recognise(source: Source, expected: string | undefined): Promise<Format | undefined | string> {
  const promised = promisedBy(source.name);
  if (source.size === 0) return promised || expected !== undefined ? 'it is empty' : undefined;
  const head = await source.read(0, 4096);
  if ((promised || expected !== undefined) && head.every((byte) => byte === 0))
    return 'it begins with zeros: its bytes never reached the disk';
  if (promised === 'any' && head.length < 4) return `it is cut off after ${head.length} bytes`;
  const format = formatOf(source.name, head, source.size);
  const wanted = expected === undefined ? promised : [formatNamed(expected)];
  if (!Array.isArray(wanted)) return format;
  const found = wanted.find((one: Format | undefined) => one === format || one?.matches(head, source.size));
  return found ?? `it is no ${wanted.map((one: Format | undefined) => one?.title ?? expected).join(' or ')}`;
}
