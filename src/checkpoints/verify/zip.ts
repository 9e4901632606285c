import { readZipDirectory } from './zip-directory.js';
import { ZipContent } from './zip-content.js';
import type { Format } from './types.js';

/** `.pt`, `.npz`, `.keras`: every entry carries a CRC, which torch.load itself ignores. */
export const zip: Format = {
  name: 'zip',
  title: 'zip archive',
  // an archive without entries begins with its end record
  matches: (head) => head.length >= 4 && [0x04034b50, 0x06054b50].includes(head.readUInt32LE(0)),
  async inspect(source) {
    const directory = await readZipDirectory(source);
    if ('damage' in directory) return directory;
    // torch's set_crc32_options(False) writes zeros: unknown, not bad
    const crcKnown = directory.entries.some((entry) => entry.crc !== 0);
    return crcKnown
      ? { content: new ZipContent(directory.entries) }
      : { unproven: 'it was written without checksums' };
  },
};
