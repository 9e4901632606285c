import type { Format } from './types.js';

const signature = Buffer.from('\x89HDF\r\n\x1a\n', 'latin1');

/** The end address of the superblock must be the file's size. HDF5 has no checksum over its data. */
export const hdf5: Format = {
  name: 'hdf5',
  title: 'HDF5 file',
  matches: (head) => head.subarray(0, 8).equals(signature),
  async inspect(source) {
    const superblock = await source.read(0, 128);
    const end = endAddress(superblock);
    if (end === undefined) return { damage: 'its superblock is cut off or of an unknown version' };
    if (end === source.size) return {};
    return source.size < end
      ? { damage: `it is cut off: ${source.size} of ${end} bytes are there` }
      : { damage: `it was not closed: its superblock says ${end} bytes, it has ${source.size}` };
  },
};

/** HDF5 File Format Specification 3.0, II.A: where each version keeps the end-of-file address. */
function endAddress(superblock: Buffer): number | undefined {
  const version = superblock[8];
  if (version === undefined || version > 3) return undefined;
  const width = superblock[version < 2 ? 13 : 9] ?? 0;
  if (width !== 4 && width !== 8) return undefined;
  // base address first; then free-space (or extension) address; then the end of the file
  const at = (version === 0 ? 24 : version === 1 ? 28 : 12) + 2 * width;
  if (superblock.length < at + width) return undefined;
  return width === 4 ? superblock.readUInt32LE(at) : Number(superblock.readBigUInt64LE(at));
}
