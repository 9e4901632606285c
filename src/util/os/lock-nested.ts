import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from './durable.js';
import { abstractAddresses } from './lock-address.js';
import { liveClaims, placeFile, type Rival, unlinkIfThere } from './lock-claims.js';
import { isSameProcess, type LockOwner } from './lock-owner.js';
import { ask } from './lock-socket.js';
import { makeDirs } from './make-dirs.js';

/**
 * Others that have, or ask for, a checkpoint folder above or below ours. Known are: on Linux every lock of this network
 * namespace, of any user; everywhere, the locks taken from the same state folder (`registry`). Not known are nested
 * folders locked from another state folder on another host, in another network namespace, or on macOS.
 */
export async function nestedRivals(
  owner: LockOwner,
  now: number,
  registry: string | undefined,
): Promise<Rival[]> {
  const [answering, registered] = await Promise.all([
    answeringClaims(),
    registry === undefined ? [] : registeredClaims(registry, owner.dir, now),
  ]);
  const rivals = new Map<string, Rival>();
  for (const rival of [...registered, ...answering]) {
    if (!rival.owner || rival.owner.kind !== 'checkpoints' || isSameProcess(rival.owner, owner)) continue;
    if (overlap(rival.owner.dir, owner.dir)) rivals.set(rival.id, rival);
  }
  return [...rivals.values()];
}

/** Whether one real path is the other or lies inside it. */
export function overlap(a: string, b: string): boolean {
  const inside = (outer: string, inner: string): boolean => {
    const way = path.relative(outer, inner);
    return way === '' || (way !== '..' && !way.startsWith(`..${path.sep}`) && !path.isAbsolute(way));
  };
  return inside(a, b) || inside(b, a);
}

/** Where a checkpoint folder's claims are, for those who use the same state folder. */
interface Entry {
  readonly dir: string;
  readonly folder: string;
}

export async function register(registry: string, id: string, entry: Entry): Promise<void> {
  await makeDirs(registry, 0o700);
  await placeFile(path.join(registry, `${id}.json`), JSON.stringify({ schemaVersion: 1, ...entry }));
}

export const unregister = (registry: string, id: string): Promise<void> =>
  unlinkIfThere(path.join(registry, `${id}.json`));

async function answeringClaims(): Promise<Rival[]> {
  const answers = await Promise.all((await abstractAddresses()).map((address) => ask(address, 500)));
  return answers.flatMap((answer) => (answer.type === 'claim' ? [answer.claim] : []));
}

async function registeredClaims(registry: string, dir: string, now: number): Promise<Rival[]> {
  let names: string[];
  try {
    names = await fs.readdir(registry);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
  const found = names
    .filter((name) => name.endsWith('.json') && !name.startsWith('.'))
    .map(async (name) => {
      const id = name.slice(0, -5);
      const entry = await readEntry(path.join(registry, name));
      if (!entry || !overlap(entry.dir, dir)) return [];
      const claim = (await liveClaims(entry.folder, now, false, (rival) => rival.id === id)).find(
        (rival) => rival.id === id,
      );
      if (!claim) await unregister(registry, id);
      return claim ? [claim] : [];
    });
  return (await Promise.all(found)).flat();
}

async function readEntry(file: string): Promise<Entry | undefined> {
  try {
    const { dir, folder } = JSON.parse(await fs.readFile(file, 'utf8')) as Record<string, unknown>;
    return typeof dir === 'string' && typeof folder === 'string' ? { dir, folder } : undefined;
  } catch (error) {
    // gone since it was listed, or no JSON: it names no folder
    if (errorCode(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
