import type { FileHandle } from 'node:fs/promises';

/** The unit in which file systems release what is inside a file. */
export const blockBytes = 4096;

const zeros = Buffer.alloc(blockBytes);

/**
 * Whether what was read begins in a released range: a block of zeros, which no text holds. (Less than a block, at the
 * end of a file or before a block's border, counts if it is all zero.)
 */
export function isHole(bytes: Buffer): boolean {
  const block = bytes.subarray(0, blockBytes);
  return block.length > 0 && zeros.compare(block, 0, block.length, 0, block.length) === 0;
}

/**
 * The offset of the first byte of data after a hole. Logs are released from their beginning, so there is one border
 * to find, and halving finds it without reading gigabytes of zeros. Answers the file's size if nothing follows.
 */
export async function findDataAfterHole(handle: FileHandle, hole: number): Promise<number> {
  const block = Buffer.allocUnsafe(blockBytes);
  const holeAt = async (offset: number): Promise<boolean> => {
    const { bytesRead } = await handle.read(block, 0, blockBytes, offset);
    return isHole(block.subarray(0, bytesRead));
  };
  const { size } = await handle.stat();
  let zero = Math.floor(hole / blockBytes); // a block known to be released
  let data = Math.ceil(size / blockBytes); // one known not to be, or the end
  while (data - zero > 1) {
    const middle = Math.floor((zero + data) / 2);
    if (await holeAt(middle * blockBytes)) zero = middle;
    else data = middle;
  }
  return Math.min(size, data * blockBytes);
}
