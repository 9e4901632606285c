import fs from 'node:fs/promises';
import path from 'node:path';
import { exitStatus, fail, ok, type Result } from '../result.js';
import { errorCode, errorText, files } from './durable.js';
import { liveClaims, type Rival, sweepClaims } from './lock-claims.js';
import { addressOf } from './lock-address.js';
import { Holdings, undecided } from './lock-holdings.js';
import { nestedRivals } from './lock-nested.js';
import { describeOwner, freshForMs, isSameHost, type LockOwner, thisOwner } from './lock-owner.js';
import { probeLock } from './lock-probe.js';
import { makeDirs } from './make-dirs.js';

export type { LockOwner } from './lock-owner.js';
export { probeLock } from './lock-probe.js';

export interface LockRequest {
  readonly kind: LockOwner['kind'];
  /** The run's name, for those who are turned away. */
  readonly run: string;
  /** The folder that is locked: known by its device and inode, whatever path leads to it. */
  readonly dir: string;
  /** Where the folder `lock/` with the claims is made: the run's folder, or the vault. */
  readonly keepIn: string;
  /** A folder of the state folder that lists the checkpoint folders in use, so that nested ones are noticed. */
  readonly registry?: string;
  /** Told when the lock stands but other hosts can no longer see it. */
  readonly onTrouble?: (text: string) => void;
  /** How often other hosts are told that we live, ms; 30 s. */
  readonly refreshMs?: number;
}

export interface Lock {
  readonly owner: LockOwner;
  /**
   * For when the folder was deleted under us and made again: locks what bears its name now, or says who was faster
   * (exit 75). Does nothing if that is still the folder that was locked.
   */
  retake(): Promise<Result<void>>;
  /** Gives the lock back; calling it twice does nothing. */
  release(): Promise<void>;
}

/**
 * Takes a folder for this process, or says who has it (exit 75). Of any number that ask at the same instant exactly
 * one gets it, and it is free the instant its holder dies.
 *
 * Three things hold it. The abstract socket of the folder's identity: one process of this user and network namespace
 * at a time, by the kernel. A claim in `lock/` with a socket of its own, under a name never used twice: seen from
 * other namespaces and users. The claim file's age: seen from other hosts. Each first makes its claim seen, then looks
 * for others', so of two at least one sees the other; between two undecided claims the older stays and the other
 * withdraws until it is decided.
 */
export async function acquireLock(request: LockRequest): Promise<Result<Lock>> {
  const taken = await take(request);
  if (!taken.ok) return taken;
  let held = taken.value;
  return ok({
    owner: held.claim.owner,
    async retake() {
      const again = await take(request, held);
      if (!again.ok) return again;
      held = again.value;
      return ok(undefined);
    },
    release: () => held.drop(),
  });
}

/** @param former what we hold under the folder's name already */
async function take(request: LockRequest, former?: Holdings): Promise<Result<Holdings>> {
  const giveUpAt = performance.now() + patienceMs;
  const lockFolder = path.join(request.keepIn, 'lock');
  let made: string | undefined;
  try {
    const dir = await fs.realpath(request.dir);
    if (former?.isSeen() && former.hasAddress(await addressOf(dir))) return ok(former);
    made = await makeDirs(lockFolder, 0o700);
    for (;;) {
      const round = await contend(request, dir, giveUpAt, former);
      if ('holdings' in round) return ok(round.holdings);
      if (round.rival.state === 'held' || performance.now() > giveUpAt) {
        const message = await busyMessage(request, dir, round.rival);
        await removeMade(lockFolder, made);
        return fail(message, exitStatus.busy);
      }
      await pause();
    }
  } catch (error) {
    await removeMade(lockFolder, made);
    return cannotLock(request, error);
  }
}

/** How long it may take until it is settled who of several gets it; each needs a few ms. */
const patienceMs = 20_000;
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 20));

type Round = { readonly holdings: Holdings } | { readonly rival: Rival };

async function contend(
  request: LockRequest,
  dir: string,
  giveUpAt: number,
  former: Holdings | undefined,
): Promise<Round> {
  const owner = former?.claim.owner ?? thisOwner({ run: request.run, kind: request.kind, dir }, Date.now());
  const holdings = new Holdings(request, owner);
  try {
    const address = await addressOf(dir);
    const rival =
      (former?.hasAddress(address) ? undefined : await holdings.takeAddress(address)) ??
      (await outlast(request, holdings, giveUpAt, former));
    if (rival) {
      await holdings.drop();
      return { rival };
    }
    await holdings.keep();
    await sweepClaims(holdings.folder);
    if (former) await holdings.replace(former, address);
    return { holdings };
  } catch (error) {
    await holdings.drop();
    // a rival that was turned away took the folder it had made with it
    if (errorCode(error) === 'ENOENT' && performance.now() < giveUpAt) return { rival: undecided };
    throw error;
  }
}

/** Shows our claim and waits until no other is left, or answers the one that goes first. */
async function outlast(
  request: LockRequest,
  holdings: Holdings,
  giveUpAt: number,
  former: Holdings | undefined,
): Promise<Rival | undefined> {
  // not needed for there to be one winner, but a crowd settles sooner when no more step in
  const undecidedOne = (rival: Rival): boolean => rival.state === 'contending';
  if ((await rivalsOf(request, holdings, former, Date.now(), false, undecidedOne)).some(undecidedOne))
    return undecided;
  const now = await holdings.publish();
  const goesFirst = (rival: Rival): boolean => rival.state === 'held' || rival.id < holdings.claim.id;
  for (;;) {
    const rivals = await rivalsOf(request, holdings, former, now, true, goesFirst);
    const first = rivals.find(goesFirst);
    if (first) return first;
    if (rivals.length === 0 || performance.now() > giveUpAt) return rivals[0];
    await pause();
  }
}

async function rivalsOf(
  request: LockRequest,
  { folder, claim }: Holdings,
  former: Holdings | undefined,
  now: number,
  clean: boolean,
  enough: (rival: Rival) => boolean,
): Promise<Rival[]> {
  const isOther = (rival: Rival): boolean => rival.id !== claim.id && rival.id !== former?.claim.id;
  const rivals = (await liveClaims(folder, now, clean, (rival) => isOther(rival) && enough(rival))).filter(
    isOther,
  );
  if (request.kind === 'run' || rivals.some(enough)) return rivals;
  return [...rivals, ...(await nestedRivals(claim.owner, now, request.registry))];
}

async function busyMessage(request: LockRequest, dir: string, rival: Rival): Promise<string> {
  // whoever did not answer (it is stopped, or of another user) may still be named by its claim file
  const owner = rival.owner ?? (await probeLock({ dir, keepIn: request.keepIn }))?.owner;
  if (!owner) return `${dir} is locked by a process that does not answer; stop it, or try again later`;
  if (request.kind === 'run') {
    return (
      `run ${owner.run} is already supervised by ${describeOwner(owner)}; ` +
      `stop it with "trainguard stop ${owner.run}", or choose another --name${awayHint(owner)}`
    );
  }
  const where =
    owner.dir === dir
      ? `checkpoint folder ${dir}`
      : `checkpoint folder ${dir} and ${owner.dir} overlap, which`;
  return `${where} is in use by run ${owner.run} (${describeOwner(owner)}); stop that run, or choose another --checkpoint-dir${awayHint(owner)}`;
}

const awayHint = (owner: LockOwner): string =>
  isSameHost(owner) ? '' : ` (if that host is gone, try again in ${freshForMs / 60_000} minutes)`;

/** Removes the empty folders that `mkdir` made for a lock that was not got, from the lock folder up to `first`. */
async function removeMade(lockFolder: string, first: string | undefined): Promise<void> {
  for (let dir = lockFolder; first !== undefined && dir.length >= first.length; dir = path.dirname(dir)) {
    try {
      await files.rmdir(dir);
    } catch (error) {
      if (['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(errorCode(error) ?? '')) return;
      throw error;
    }
  }
}

function cannotLock(request: LockRequest, error: unknown): Result<never> {
  const code = errorCode(error);
  if (code === undefined) throw error;
  const wayOut =
    code === 'ENOSPC' || code === 'EDQUOT'
      ? 'free some space'
      : `make it writable, or choose another ${request.kind === 'run' ? '--state-dir' : '--vault'}`;
  return fail(
    `cannot lock ${request.dir} in ${request.keepIn}: ${errorText(error)}; ${wayOut}`,
    exitStatus.config,
    code,
  );
}
