import { constants } from 'node:fs';
import { files } from '../../util/os/durable.js';

/** An index of a hundred thousand tensors is some MiB; DCP's `.metadata` of a thousand ranks some tens. */
const longestRead = 64 * 1024 * 1024;

/**
 * A file that describes others.
 * @returns undefined if it is longer than any of them
 * @throws the system's error
 */
export async function readWhole(file: string): Promise<Buffer | undefined> {
  const handle = await files.open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return (await handle.stat()).size > longestRead ? undefined : await handle.readFile();
  } finally {
    await handle.close();
  }
}
