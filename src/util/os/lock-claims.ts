import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode, files, writeFully } from './durable.js';
import { isProcessAlive } from './lock-alive.js';
import { isFresh, type LockOwner, whereIs } from './lock-owner.js';
import {
  type Answer,
  ask,
  asOwner,
  type Claim,
  type ClaimState,
  openShortDir,
  type ShortDir,
} from './lock-socket.js';

/** Another process that has, or asks for, what we want. `owner` undefined: it does not say. */
export interface Rival {
  readonly id: string;
  readonly state: ClaimState;
  readonly owner: LockOwner | undefined;
}

/** How often other hosts are told that a claim lives. */
export const refreshEveryMs = 30_000;

/**
 * The live claims in a lock folder, oldest first, each `<id>.json` with a socket `<id>.sock` beside it. Ids are never
 * used twice, so removing a dead one cannot hit anybody else.
 * @param now ms since 1970 by the clock that stamps the files
 * @param clean removes the dead; a reader that must not change anything leaves them
 * @param enough no more are looked at once this one says so: in a crowd only the oldest asks all the others
 */
export async function liveClaims(
  folder: string,
  now: number,
  clean: boolean,
  enough: (rival: Rival) => boolean = () => false,
): Promise<Rival[]> {
  const names = (await list(folder)).filter((name) => name.endsWith('.json') && !name.startsWith('.'));
  const rivals: Rival[] = [];
  if (names.length === 0) return rivals;
  const short = await openShortDir(folder);
  try {
    for (const name of names.sort()) {
      const rival = await judge(folder, short, name.slice(0, -5), now, clean);
      if (rival) rivals.push(rival);
      if (rival && enough(rival)) break;
    }
  } finally {
    await short.close();
  }
  return rivals;
}

/** Removes what killed processes left: sockets without a claim that nobody listens on, old temporary files. */
export async function sweepClaims(folder: string): Promise<void> {
  const names = await list(folder);
  const short = await openShortDir(folder);
  try {
    for (const name of names) {
      const file = path.join(folder, name);
      if (name.endsWith('.sock') && !names.includes(`${name.slice(0, -5)}.json`)) {
        // it listens before it gets this name, so a refusal means that its process is gone
        if ((await ask(short.address(name))).type === 'dead')
          await unlinkIfThere(file).catch(tolerateForeign);
      } else if (name.startsWith('.') && (await ageOf(file)) > 3_600_000) {
        await unlinkIfThere(file).catch(tolerateForeign);
      }
    }
  } finally {
    await short.close();
  }
}

/** Makes a claim seen. Its socket, if there is one, must be listening already. */
export async function publishClaim(folder: string, claim: Claim, socket: boolean): Promise<void> {
  await placeFile(path.join(folder, `${claim.id}.json`), claimText(claim, socket));
}

/** Replaces a file as a whole. Not fsynced: a lock means nothing after a power cut. */
export async function placeFile(target: string, text: string): Promise<void> {
  const temporary = path.join(path.dirname(target), `.${path.basename(target)}.tmp`);
  const handle = await files.open(temporary, 'w', 0o600);
  try {
    await writeFully(handle, Buffer.from(text));
  } catch (error) {
    await unlinkIfThere(temporary);
    throw error;
  } finally {
    await handle.close();
  }
  await files.rename(temporary, target);
}

/** Tells other hosts that we live: the file server stamps what is written, so clocks need not agree. */
export async function refreshClaim(folder: string, claim: Claim, socket: boolean): Promise<void> {
  let handle: fs.FileHandle;
  try {
    handle = await files.open(path.join(folder, `${claim.id}.json`), 'r+');
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    return publishClaim(folder, claim, socket);
  }
  try {
    // the same bytes in place: nobody can read it half written, and a full disk cannot refuse it
    await writeFully(handle, Buffer.from(claimText(claim, socket)), 0);
  } finally {
    await handle.close();
  }
}

export async function removeClaim(folder: string, id: string): Promise<void> {
  await unlinkIfThere(path.join(folder, `${id}.json`));
  await unlinkIfThere(path.join(folder, `${id}.sock`));
}

export async function unlinkIfThere(file: string): Promise<void> {
  try {
    await files.unlink(file);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}

const claimText = (claim: Claim, socket: boolean): string =>
  `${JSON.stringify({ schemaVersion: 1, ...claim, socket })}\n`;

async function judge(
  folder: string,
  short: ShortDir,
  id: string,
  now: number,
  clean: boolean,
): Promise<Rival | undefined> {
  const file = await readClaim(path.join(folder, `${id}.json`));
  if (!file) return undefined;
  const { claim } = file;
  const answer: Answer = file.socket ? await ask(short.address(`${id}.sock`)) : { type: 'unknown' };
  if (answer.type === 'claim') return answer.claim;
  const rival: Rival = { id, state: claim?.state ?? 'held', owner: claim?.owner };
  if (answer.type === 'silent') return rival;
  // its holder takes the claim away before the socket: it was given back while we asked
  if (answer.type === 'unknown' && !(await readClaim(path.join(folder, `${id}.json`)))) return undefined;
  const where = claim && whereIs(claim.owner, file.modifiedAt);
  const here = where === 'here' || where === 'other-namespace';
  const alive = claim && here && answer.type === 'unknown' ? isProcessAlive(claim.owner) : undefined;
  const dead = where === 'other-boot' || (here && answer.type === 'dead') || alive === false;
  if (alive || (!dead && isFresh(now - file.modifiedAt))) return rival;
  if (clean) await removeClaim(folder, id).catch(tolerateForeign);
  return undefined;
}

interface ClaimFile {
  readonly claim: Claim | undefined;
  readonly socket: boolean;
  readonly modifiedAt: number;
}

async function readClaim(file: string): Promise<ClaimFile | undefined> {
  let modifiedAt = Date.now();
  try {
    modifiedAt = (await fs.stat(file)).mtimeMs;
    const { id, state, socket, owner } = JSON.parse(await fs.readFile(file, 'utf8')) as Record<
      string,
      unknown
    >;
    const known = asOwner(owner);
    const good = typeof id === 'string' && (state === 'contending' || state === 'held') && known;
    return { claim: good ? { id, state, owner: known } : undefined, socket: socket !== false, modifiedAt };
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    // unreadable or damaged: whose it is cannot be said, but its age can
    return { claim: undefined, socket: true, modifiedAt };
  }
}

const ageOf = (file: string): Promise<number> =>
  fs.stat(file).then(
    (stat) => Date.now() - stat.mtimeMs,
    // gone since it was listed
    () => 0,
  );

/** Another user's leftovers may stay: they are dead, and only in the way of the eye. */
function tolerateForeign(error: unknown): void {
  if (errorCode(error) !== 'EACCES' && errorCode(error) !== 'EPERM' && errorCode(error) !== 'EROFS')
    throw error;
}

async function list(folder: string): Promise<string[]> {
  try {
    return await fs.readdir(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
