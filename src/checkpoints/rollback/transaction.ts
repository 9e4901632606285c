import path from 'node:path';
import { stampOf } from '../../util/os/dir-walk.js';
import { errorCode, errorText, files, sweepTemporaries, syncDir } from '../../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import { inVault, probeName } from '../vault.js';
import { closeIntent, commitIntent, newTx, openIntents, type Intent, type Move } from './journal.js';

export interface RollbackPlace {
  /** The checkpoint folder, a real path. */
  readonly dir: string;
  readonly vault: string;
}

export interface RollbackOrder {
  readonly target?: string;
  /** Newest first, so that what is left is at every instant a prefix of what there was. */
  readonly moves: readonly Move[];
  readonly reason: string;
  /** ms since 1970. */
  readonly at: number;
}

export interface Applied {
  readonly tx: string;
  readonly moved: readonly { readonly id: string; readonly name: string; readonly to: string }[];
  /** What was left where it was, and why, in words. */
  readonly skipped: readonly string[];
}

/**
 * Rolls back: intent (the commit point), moves, done. Nothing is deleted or overwritten. Cut off at any point, the
 * folder is as before, or `finishRollbacks` brings it wholly to the end.
 */
export async function rollBack(place: RollbackPlace, order: RollbackOrder): Promise<Result<Applied>> {
  try {
    const intent: Intent = {
      schemaVersion: 1,
      tx: await freeTx(place, order.at),
      at: order.at,
      dir: place.dir,
      ...(order.target === undefined ? {} : { target: order.target }),
      reason: order.reason,
      moves: order.moves,
      pointers: [],
      restores: [],
    };
    await commitIntent(place.vault, intent);
    return await apply(place, intent);
  } catch (error) {
    return problem(place, error);
  }
}

/**
 * Finishes what was cut off, forward, oldest first, and removes what was half-written. Doing it again does nothing. The
 * vault is ours alone.
 */
export async function finishRollbacks(place: RollbackPlace): Promise<Result<readonly Applied[]>> {
  try {
    for (const folder of ['.', inVault.manifests, inVault.journal])
      await sweepTemporaries(path.join(place.vault, folder));
    await sweepTemporaries(place.dir, probeName);
    const intents = await openIntents(place.vault);
    if (!intents.ok) return intents;
    const finished: Applied[] = [];
    for (const intent of intents.value) {
      const applied = await apply(place, intent);
      if (!applied.ok) return applied;
      finished.push(applied.value);
    }
    return ok(finished);
  } catch (error) {
    return problem(place, error);
  }
}

async function freeTx(place: RollbackPlace, at: number): Promise<string> {
  for (;;) {
    const tx = newTx(at);
    if (!(await stampOf(place.vault, path.join(inVault.quarantine, tx)))) return tx;
  }
}

async function apply(place: RollbackPlace, intent: Intent): Promise<Result<Applied>> {
  const quarantine = path.join(place.vault, inVault.quarantine);
  const own = path.join(quarantine, intent.tx);
  await files.mkdir(own, { recursive: true, mode: 0o700 });
  await syncDir(quarantine);
  const moved: { id: string; name: string; to: string }[] = [];
  const skipped: string[] = [];
  for (const move of intent.moves) {
    const outcome = await moveOne(place.dir, own, move);
    if (outcome === 'moved') moved.push({ id: move.id, name: move.name, to: path.join(own, move.name) });
    else if (outcome.fatal) return fail(outcome.why, exitStatus.internal);
    else skipped.push(outcome.why);
  }
  await syncDir(place.dir);
  await syncDir(own);
  await closeIntent(place.vault, intent.tx);
  return ok({ tx: intent.tx, moved, skipped });
}

type Outcome = 'moved' | { readonly fatal: boolean; readonly why: string };

/** A rename would replace what is at its target: so it is looked at first, and inodes tell who is who. */
async function moveOne(dir: string, own: string, move: Move): Promise<Outcome> {
  const [from, to] = await Promise.all([stampOf(dir, move.name), stampOf(own, move.name)]);
  if (to && to.inode === move.inode) return 'moved';
  if (!from) return { fatal: false, why: `${move.name} vanished before it could be moved` };
  if (from.inode !== move.inode)
    return { fatal: false, why: `${move.name} was replaced by another meanwhile and was left where it is` };
  if (to)
    return {
      fatal: true,
      why: `${path.join(own, move.name)} is in the way of a rollback; move it elsewhere, then try again`,
    };
  await files.rename(path.join(dir, move.name), path.join(own, move.name));
  return 'moved';
}

function problem(place: RollbackPlace, error: unknown): Result<never> {
  const code = errorCode(error);
  if (code === undefined) throw error;
  const what = `the rollback in ${place.dir} could not be done: ${errorText(error)}; nothing is lost, and what was begun is finished at the next start`;
  return fail(what, exitStatus.internal, code);
}
