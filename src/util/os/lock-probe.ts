import fs from 'node:fs/promises';
import path from 'node:path';
import type { Rival } from './lock-claims.js';
import { abstractAddress, ask } from './lock-socket.js';

/**
 * Who has a folder now; undefined: nobody. Changes nothing. Apart from taking locks, so that `status` loads little.
 * @param what as `acquireLock` is asked for it
 */
export async function probeLock(what: {
  readonly dir: string;
  readonly keepIn: string;
}): Promise<Rival | undefined> {
  const address = await addressOf(what.dir);
  const answer = address === undefined ? undefined : await ask(address);
  if (answer?.type === 'claim') return answer.claim;
  const { liveClaims } = await import('./lock-claims.js');
  const [claim] = await liveClaims(path.join(what.keepIn, 'lock'), Date.now(), false);
  return claim ?? (answer?.type === 'silent' ? { id: '', state: 'held', owner: undefined } : undefined);
}

/** The abstract address of a folder, whatever path leads to it; undefined where there are none. */
export async function addressOf(dir: string): Promise<string | undefined> {
  const { dev, ino } = await fs.stat(dir, { bigint: true });
  return abstractAddress(dev, ino);
}
