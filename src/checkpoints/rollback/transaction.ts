import path from 'node:path';
import { errorCode, errorText, sweepTemporaries } from '../../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import { inVault, probeName } from '../vault.js';
import { apply, outcomeOf, type Applied } from './apply.js';
import type { Intent, Move } from './intent.js';
import { commitIntent, newTx, openIntents, phaseOf, readIntent } from './journal.js';
import type { Piece } from './piece.js';
import { quarantineOf, stampAt, type RollbackPlace } from './place.js';
import { dropStage, stage, stagedIn, type OnProgress } from './stage.js';
import { undoing } from './undo.js';

export interface RollbackOrder {
  readonly target?: string;
  /** What is put, in this order, before the moves. What holds a place that is taken need not be among the moves. */
  readonly pieces?: readonly Piece[];
  /** Newest first, so that what is left is at every instant a prefix of what there was. */
  readonly moves: readonly Move[];
  readonly reason: string;
  /** ms since 1970. */
  readonly at: number;
  /** Its name, where several folders roll back as one; a name that is done already answers what it did. */
  readonly tx?: string;
  readonly onProgress?: OnProgress;
}

/**
 * Rolls back: stage, intent (the commit point), puts, moves, done. Nothing is deleted or overwritten. Cut off at any
 * point, the folder is as before, or {@link finishRollbacks} brings it wholly to the end.
 */
export async function rollBack(place: RollbackPlace, order: RollbackOrder): Promise<Result<Applied>> {
  const tx = order.tx ?? (await freeTx(place, order.at));
  const known = order.tx === undefined ? undefined : await rolledBackAlready(place, order.tx);
  if (known) return known;
  return carryOut(place, tx, async () => {
    const { pieces = [], moves, target, reason, at } = order;
    const staged = pieces.length > 0 ? await stage(place, tx, pieces, order.onProgress) : ok([]);
    if (!staged.ok) return staged;
    // what is put takes the place of its holder, which thereby is moved
    const taken = new Set(pieces.map((piece) => piece.path ?? piece.name));
    const left = moves.filter((move) => !taken.has(move.path ?? move.name));
    const named = target === undefined ? {} : { target };
    return ok({
      schemaVersion: 2,
      tx,
      at,
      dir: place.dir,
      ...named,
      reason,
      puts: staged.value,
      moves: left,
    });
  });
}

/**
 * Reverses the last rollback that was not reversed yet, or the one named: itself a transaction, as safe as the one that
 * it reverses. Refuses where training has written since at a name that it would put back.
 * @param at ms since 1970
 * @param own the name of the reversal, a name that is done already answers what it did
 */
export async function undoRollback(
  place: RollbackPlace,
  at: number,
  named?: string,
  own?: string,
): Promise<Result<Applied>> {
  const tx = own ?? (await freeTx(place, at));
  const known = own === undefined ? undefined : await rolledBackAlready(place, own);
  if (known) return known;
  return carryOut(place, tx, () => undoing(place, { tx, at, ...(named !== undefined && { named }) }));
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
    for (const tx of await stagedIn(place.vault)) await dropStage(place.vault, tx);
    return ok(finished);
  } catch (error) {
    return problem(place, error, true);
  }
}

/** Journals an intent and does it. What was staged for one that never was is dropped. */
async function carryOut(
  place: RollbackPlace,
  tx: string,
  prepare: () => Promise<Result<Intent>>,
): Promise<Result<Applied>> {
  try {
    const intent = await prepare();
    if (!intent.ok) {
      await dropStage(place.vault, tx);
      return intent;
    }
    await commitIntent(place.vault, intent.value);
    return await apply(place, intent.value);
  } catch (error) {
    return problem(place, error, !(await abandon(place, tx)));
  }
}

/** @returns whether nothing of the transaction is left that would be finished later */
async function abandon(place: RollbackPlace, tx: string): Promise<boolean> {
  try {
    if ((await phaseOf(place.vault, tx)) !== undefined) return false;
    await dropStage(place.vault, tx);
    return true;
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return false; // the next start looks again
  }
}

/** What a transaction came to, finished if it had been begun; undefined: there is none of that name. */
export async function rolledBackAlready(
  place: RollbackPlace,
  tx: string,
): Promise<Result<Applied> | undefined> {
  try {
    const phase = await phaseOf(place.vault, tx);
    if (phase === undefined) return undefined;
    if (phase === 'undone') return fail(`the rollback ${tx} was undone`, exitStatus.failed);
    const intent = await readIntent(place.vault, tx, phase);
    if (!intent.ok) return intent;
    return phase === 'open' ? await apply(place, intent.value) : ok(await outcomeOf(place, intent.value));
  } catch (error) {
    return problem(place, error, true);
  }
}

async function freeTx(place: RollbackPlace, at: number): Promise<string> {
  for (;;) {
    const tx = newTx(at);
    if (!(await stampAt(quarantineOf(place.vault, tx)))) return tx;
  }
}

function problem(place: RollbackPlace, error: unknown, begun: boolean): Result<never> {
  const code = errorCode(error);
  if (code === undefined) throw error;
  const state = begun
    ? 'nothing is lost, and what was begun is finished at the next start'
    : 'nothing is lost, and nothing was changed';
  return fail(`the rollback in ${place.dir} could not be done: ${errorText(error)}; ${state}`, exitStatus.internal, code); // prettier-ignore
}
