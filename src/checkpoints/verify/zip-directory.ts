import { quote } from './quote.js';
import type { Source } from './types.js';

/** One entry of an archive, as its central directory and its local header agree on it. */
export interface ZipEntry {
  readonly name: string;
  readonly method: number;
  readonly encrypted: boolean;
  readonly crc: number;
  readonly compressedSize: number;
  readonly size: number;
  /** Where its data lies in the file. */
  readonly dataOffset: number;
}

type Found<T> = T | { readonly damage: string };

// APPNOTE.TXT 4.3: signatures and fixed sizes
const endSignature = 0x06054b50;
const end64Signature = 0x06064b50;
const locatorSignature = 0x07064b50;
const centralSignature = 0x02014b50;
const localSignature = 0x04034b50;
const endBytes = 22;
const centralBytes = 46;
const localBytes = 30;
const longestComment = 0xffff;

/** Some hundred thousand entries; nothing that trains writes more. */
const longestDirectory = 16 * 1024 * 1024;
/** Local headers that are read at once: one after the other takes a multiple of the time. */
const headersAtOnce = 32;
/** deflate cannot shrink more (zlib's technical notes). */
const largestRatio = 1032;

/**
 * The entries by file order. The end record must end exactly where the file does, the directory must lie right before
 * it, each local header must repeat what the directory says, and no two entries may overlap.
 */
export async function readZipDirectory(
  source: Source,
): Promise<Found<{ readonly entries: readonly ZipEntry[] }>> {
  const place = await findDirectory(source);
  if ('damage' in place) return place;
  const bytes = await source.read(place.offset, place.size);
  if (bytes.length < place.size) return { damage: 'its directory is cut off' };
  const drafts = parseDirectory(bytes, place.count);
  if ('damage' in drafts) return drafts;
  const entries: ZipEntry[] = [];
  let previousEnd = 0;
  const ordered = drafts.entries.sort((a, b) => a.headerOffset - b.headerOffset);
  for (let from = 0; from < ordered.length; from += headersAtOnce) {
    const some = ordered.slice(from, from + headersAtOnce);
    const checked = await Promise.all(some.map((draft) => checkLocalHeader(source, draft)));
    for (const [index, entry] of checked.entries()) {
      if ('damage' in entry) return entry;
      if ((some[index]?.headerOffset ?? 0) < previousEnd)
        return { damage: `its entries overlap at ${quote(entry.name)}` };
      previousEnd = entry.dataOffset + entry.compressedSize;
      if (previousEnd > place.offset) return { damage: `${quote(entry.name)} reaches beyond the data` };
      entries.push(entry);
    }
  }
  return { entries };
}

interface Place {
  readonly offset: number;
  readonly size: number;
  readonly count: number;
}

async function findDirectory(source: Source): Promise<Found<Place>> {
  const tailStart = Math.max(0, source.size - endBytes - longestComment);
  const tail = await source.read(tailStart, source.size - tailStart);
  const at = findEnd(tail);
  if (typeof at !== 'number') return at;
  let place = {
    count: tail.readUInt16LE(at + 10),
    size: tail.readUInt32LE(at + 12),
    offset: tail.readUInt32LE(at + 16),
  };
  let directoryEnd = tailStart + at;
  const locator = await source.read(Math.max(0, directoryEnd - 20), 20);
  if (directoryEnd >= 20 && locator.length === 20 && locator.readUInt32LE(0) === locatorSignature) {
    directoryEnd = Number(locator.readBigUInt64LE(8));
    const record = directoryEnd < source.size ? await source.read(directoryEnd, 56) : Buffer.alloc(0);
    if (record.length < 56 || record.readUInt32LE(0) !== end64Signature)
      return { damage: 'its zip64 end record is missing' };
    place = {
      count: Number(record.readBigUInt64LE(32)),
      size: Number(record.readBigUInt64LE(40)),
      offset: Number(record.readBigUInt64LE(48)),
    };
  }
  if (place.offset + place.size !== directoryEnd)
    return { damage: 'its directory is not where its end record says' };
  if (place.count * centralBytes > place.size)
    return { damage: `it claims ${place.count} entries but has no room for them` };
  if (place.size > longestDirectory)
    return { damage: `its directory of ${place.size} bytes is beyond any checkpoint's` };
  return place;
}

function findEnd(tail: Buffer): Found<number> {
  let stray = false;
  for (let at = tail.length - endBytes; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== endSignature) continue;
    if (at + endBytes + tail.readUInt16LE(at + 20) === tail.length) return at;
    stray = true;
  }
  return {
    damage: stray
      ? 'there are bytes after its end record'
      : 'its end record is missing: the file was cut off',
  };
}

interface Draft extends Omit<ZipEntry, 'dataOffset'> {
  readonly rawName: Buffer;
  readonly flags: number;
  readonly headerOffset: number;
}

function parseDirectory(bytes: Buffer, count: number): Found<{ entries: Draft[] }> {
  const entries: Draft[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + centralBytes > bytes.length || bytes.readUInt32LE(at) !== centralSignature)
      return { damage: `its directory is damaged at entry ${i + 1} of ${count}` };
    const nameEnd = at + centralBytes + bytes.readUInt16LE(at + 28);
    const extraEnd = nameEnd + bytes.readUInt16LE(at + 30);
    const rawName = bytes.subarray(at + centralBytes, nameEnd);
    const sizes = {
      size: bytes.readUInt32LE(at + 24),
      compressedSize: bytes.readUInt32LE(at + 20),
      headerOffset: bytes.readUInt32LE(at + 42),
    };
    const flags = bytes.readUInt16LE(at + 8);
    const draft: Draft = {
      name: rawName.toString('utf8'),
      rawName,
      flags,
      method: bytes.readUInt16LE(at + 10),
      encrypted: (flags & 1) !== 0,
      crc: bytes.readUInt32LE(at + 16),
      ...widened(sizes, bytes.subarray(nameEnd, extraEnd)),
    };
    const wrong = implausible(draft);
    if (wrong !== undefined) return { damage: `${quote(draft.name)} ${wrong}` };
    entries.push(draft);
    at = extraEnd + bytes.readUInt16LE(at + 32);
  }
  return at === bytes.length ? { entries } : { damage: 'its directory has bytes that belong to no entry' };
}

type Sizes = Pick<Draft, 'size' | 'compressedSize' | 'headerOffset'>;

/** The zip64 extra field holds, in this order, those of the three that did not fit in 32 bits. */
function widened(sizes: Sizes, extra: Buffer): Sizes {
  const wide = { ...sizes };
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    let field = at + 4;
    for (const key of ['size', 'compressedSize', 'headerOffset'] as const) {
      if (wide[key] !== 0xffffffff || field + 8 > extra.length) continue;
      wide[key] = Number(extra.readBigUInt64LE(field));
      field += 8;
    }
    break;
  }
  return wide;
}

function implausible(entry: Draft): string | undefined {
  if (entry.encrypted) return undefined;
  if (entry.method === 0 && entry.size !== entry.compressedSize)
    return 'is stored in another size than it has';
  if (entry.method === 8 && entry.size > (entry.compressedSize + 1) * largestRatio)
    return 'claims to inflate to more than deflate can hold';
  return undefined;
}

async function checkLocalHeader(source: Source, draft: Draft): Promise<Found<ZipEntry>> {
  const header = await source.read(draft.headerOffset, localBytes + draft.rawName.length);
  const name = header.subarray(localBytes);
  if (header.length < localBytes || header.readUInt32LE(0) !== localSignature)
    return { damage: `the header of ${quote(draft.name)} is missing` };
  // with flag bit 3 crc and sizes follow the data, and the header holds zeros
  const crcLater = (draft.flags & 8) !== 0 || header.readUInt32LE(14) === 0;
  if (
    header.readUInt16LE(26) !== draft.rawName.length ||
    !name.equals(draft.rawName) ||
    header.readUInt16LE(8) !== draft.method ||
    (!crcLater && header.readUInt32LE(14) !== draft.crc)
  )
    return { damage: `the header of ${quote(draft.name)} does not match the directory` };
  const { method, encrypted, crc, compressedSize, size } = draft;
  const dataOffset = draft.headerOffset + localBytes + header.readUInt16LE(26) + header.readUInt16LE(28);
  return { name: draft.name, method, encrypted, crc, compressedSize, size, dataOffset };
}
