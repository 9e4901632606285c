import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from './durable.js';
import type { Rival } from './lock-claims.js';
import { type Answer, ask, openShortDir } from './lock-socket.js';

/**
 * Who has a folder now; undefined: nobody. Changes nothing. Apart from taking locks, and with what is rarely needed
 * loaded late, since `status` asks it of every run under way.
 * @param what as `acquireLock` is asked for it
 */
export async function probeLock(what: {
  readonly dir: string;
  readonly keepIn: string;
}): Promise<Rival | undefined> {
  const folder = path.join(what.keepIn, 'lock');
  let answer = await askClaims(folder);
  if (answer?.type === 'claim') return answer.claim;
  const { addressOf } = await import('./lock-address.js');
  const address = await addressOf(what.dir);
  if (answer === undefined && address !== undefined) answer = await ask(address);
  if (answer?.type === 'claim') return answer.claim;
  const { liveClaims } = await import('./lock-claims.js');
  const [claim] = await liveClaims(folder, Date.now(), false);
  return claim ?? (answer?.type === 'silent' ? { id: '', state: 'held', owner: undefined } : undefined);
}

/** What the claims' own sockets say; undefined: nobody listens there. */
async function askClaims(folder: string): Promise<Answer | undefined> {
  const names = await socketsIn(folder);
  if (names.length === 0) return undefined;
  const short = await openShortDir(folder);
  try {
    for (const name of names) {
      const answer = await ask(short.address(name));
      if (answer.type === 'claim' || answer.type === 'silent') return answer;
    }
    return undefined;
  } finally {
    await short.close();
  }
}

async function socketsIn(folder: string): Promise<string[]> {
  try {
    return (await fs.readdir(folder)).filter((name) => name.endsWith('.sock')).sort();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
