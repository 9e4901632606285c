import path from 'node:path';
import { stampOf, stampsIn } from '../../util/os/dir-walk.js';
import { errorCode, files, syncDir } from '../../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import { inVault } from '../vault.js';
import { bring, displace } from './displace.js';
import { outside, type Intent, type Move, type Put } from './intent.js';
import { closeIntent } from './journal.js';
import { liveOf, quarantineOf, stampAt, type RollbackPlace } from './place.js';
import { dropStage } from './stage.js';

/** What a transaction came to, as it lies on disk. */
export interface Applied {
  readonly tx: string;
  readonly target?: string;
  /** What went into quarantine, by its own move or because its place was taken. */
  readonly moved: readonly { readonly id: string; readonly name: string; readonly to: string }[];
  readonly put: readonly Put[];
  /** What was left where it was, and why, in words. */
  readonly skipped: readonly string[];
}

/**
 * Does what an intent says, or what is left of it, and closes it: puts in their order, then moves. Whatever holds the
 * place of a put goes into quarantine first, so nothing is ever overwritten or deleted.
 */
export async function apply(place: RollbackPlace, intent: Intent): Promise<Result<Applied>> {
  const own = quarantineOf(place.vault, intent.tx);
  const elsewhere = [...intent.puts, ...intent.moves].flatMap((one) => one.path ?? []);
  await files.mkdir(own, { recursive: true, mode: 0o700 });
  await syncDir(path.join(place.vault, inVault.quarantine));
  if (elsewhere.length > 0) await files.mkdir(path.join(own, outside), { recursive: true, mode: 0o700 });
  const skipped: string[] = [];
  for (const put of intent.puts) {
    const why = await putOne(place, own, put);
    if (why !== undefined) skipped.push(why);
  }
  for (const move of intent.moves) {
    const outcome = await moveOne(place, own, move);
    if (!outcome.ok) return outcome;
    if (outcome.value !== undefined) skipped.push(outcome.value);
  }
  const sources = intent.puts.map(({ from }) => path.dirname(path.join(place.vault, from)));
  const touched = new Set([...elsewhere.map((one) => path.dirname(one)), ...sources, place.dir, own]);
  if (elsewhere.length > 0) touched.add(path.join(own, outside));
  for (const folder of touched) await syncDir(folder);
  await closeIntent(place.vault, intent);
  // it is done: what cannot be tidied up is dropped at the next start
  await dropStage(place.vault, intent.tx).catch(systemError);
  if (intent.undoes !== undefined) await tidy(quarantineOf(place.vault, intent.undoes)).catch(systemError);
  return ok({ ...(await outcomeOf(place, intent)), skipped });
}

/** Removes what is empty. */
async function tidy(folder: string): Promise<void> {
  for (const one of [path.join(folder, outside), folder]) {
    const names = await stampsIn(one);
    if (names.length === 0 && (await stampAt(one))) await files.rmdir(one);
  }
}

function systemError(error: unknown): void {
  if (errorCode(error) === undefined) throw error;
}

/** What a transaction that is done came to. */
export async function outcomeOf(place: RollbackPlace, intent: Intent): Promise<Applied> {
  const own = quarantineOf(place.vault, intent.tx);
  const moved: { id: string; name: string; to: string }[] = [];
  const displaced = intent.puts.flatMap(({ name, takes }) =>
    takes === undefined ? [] : { id: takes, name },
  );
  for (const { id, name } of [...displaced, ...intent.moves])
    if (await stampOf(own, name)) moved.push({ id, name, to: path.join(own, name) });
  const { tx, target, puts } = intent;
  return { tx, ...(target !== undefined && { target }), moved, put: puts, skipped: [] };
}

/** @returns why it was not put, in words */
async function putOne(place: RollbackPlace, own: string, put: Put): Promise<string | undefined> {
  const [from, to] = [path.join(place.vault, put.from), liveOf(place, put)];
  const [staged, live] = await Promise.all([stampAt(from), stampAt(to)]);
  if (!staged) {
    // it has been put before a crash; on another device it has another inode there
    if (put.path !== undefined || live?.inode === put.staged.inode) return undefined;
    return `${put.name} was put back, and changed by another since`;
  }
  const afar = put.path !== undefined;
  if (live) await displace(live, to, { own, name: put.name, by: staged, afar });
  await bring(from, to, afar);
  return undefined;
}

/**
 * A rename would replace what is at its target: so it is looked at first, and inodes tell who is who.
 * @returns why it was left where it is, in words
 */
async function moveOne(place: RollbackPlace, own: string, move: Move): Promise<Result<string | undefined>> {
  const live = liveOf(place, move);
  const [from, to] = await Promise.all([stampAt(live), stampOf(own, move.name)]);
  if (to?.inode === move.inode) return ok(undefined);
  if (!from) return ok(to ? undefined : `${move.name} vanished before it could be moved`);
  if (from.inode !== move.inode)
    return ok(`${move.name} was replaced by another meanwhile and was left where it is`);
  if (to && move.path === undefined)
    return fail(
      `${path.join(own, move.name)} is in the way of a rollback; move it elsewhere, then try again`,
      exitStatus.internal,
    );
  await displace(from, live, { own, name: move.name, afar: move.path !== undefined });
  return ok(undefined);
}
