import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import { errorCode } from './durable.js';

/**
 * The abstract address of a folder, whatever path leads to it: free the instant its holder dies, and taken by one
 * process at a time. Padded to the 107 bytes there are, because Node 20 pads short names with NUL and later ones do not,
 * and then the two would not see each other.
 * @returns undefined where there are no abstract sockets
 */
export async function addressOf(dir: string): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined;
  const { dev, ino } = await fs.stat(dir, { bigint: true });
  const uid = process.getuid?.() ?? 0;
  const digest = createHash('sha256').update(`${uid}:${dev}:${ino}`).digest('hex');
  return `\0trainguard-${digest}`.padEnd(108, '.');
}

/** Every abstract socket of trainguard in this network namespace, of any user. */
export async function abstractAddresses(): Promise<string[]> {
  try {
    const table = await fs.readFile('/proc/net/unix', 'latin1');
    return [...new Set(table.match(/@trainguard-[0-9a-f]{64}\.*/g) ?? [])].map(
      (name) => `\0${name.slice(1)}`,
    );
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'EACCES') return [];
    throw error;
  }
}
