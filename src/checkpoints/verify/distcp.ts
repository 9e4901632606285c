import { ZipContent } from './zip-content.js';
import { readZipDirectory, type ZipEntry } from './zip-directory.js';
import { zip } from './zip.js';
import type { Format, Source } from './types.js';

/** What one rank of a thousand tensors holds, many times over. */
const mostArchives = 200_000;

/**
 * PyTorch DCP's `__rank_part.distcp`: what torch.save writes for each tensor, one zip archive after the other. A plain
 * zip reader rejects it. Lengths stand at the end of an archive only, so it is read from the end.
 */
export const distcp: Format = {
  name: 'distcp',
  title: 'DCP shard',
  matches: (head, size) => zip.matches(head, size),
  async inspect(source) {
    const archives: (readonly ZipEntry[])[] = [];
    for (let end = source.size; end > 0;) {
      if (archives.length === mostArchives) return { damage: `it holds more than ${mostArchives} archives` };
      const start = await startOfArchive(source, end);
      if (start === undefined)
        return {
          damage:
            end === source.size
              ? 'the end record of its last archive is missing: the file was cut off'
              : `the archive before byte ${end} has no end record`,
        };
      const directory = await readZipDirectory(part(source, start, end));
      if ('damage' in directory)
        return { damage: `in the archive from byte ${start} on ${directory.damage}` };
      archives.push(directory.entries.map((entry) => ({ ...entry, dataOffset: entry.dataOffset + start })));
      end = start;
    }
    const entries = archives.reverse().flat();
    return entries.some((entry) => entry.crc !== 0) ? { content: new ZipContent(entries) } : {};
  },
};

/** APPNOTE.TXT 4.3.14 to 4.3.16: zip64 end record, its locator, end record; torch adds no comment. */
const end64Bytes = 56;
const locatorBytes = 20;
const endBytes = 22;

/** Where the archive begins that ends at `end`, by what its end record says of its own offsets. */
async function startOfArchive(source: Source, end: number): Promise<number | undefined> {
  const from = Math.max(0, end - end64Bytes - locatorBytes - endBytes);
  const tail = await source.read(from, end - from);
  const at = tail.length - endBytes;
  if (at < 0 || tail.readUInt32LE(at) !== 0x06054b50) return undefined;
  const at64 = at - locatorBytes - end64Bytes;
  const wide = at64 >= 0 && tail.readUInt32LE(at - locatorBytes) === 0x07064b50;
  const start = wide
    ? from + at64 - Number(tail.readBigUInt64LE(at - locatorBytes + 8))
    : from + at - tail.readUInt32LE(at + 12) - tail.readUInt32LE(at + 16);
  return start >= 0 && start < end ? start : undefined;
}

const part = (source: Source, start: number, end: number): Source => ({
  name: source.name,
  size: end - start,
  read: (offset, length) => source.read(start + offset, Math.max(0, Math.min(length, end - start - offset))),
});
