import path from 'node:path';
import { stampOf, type Stamp } from '../../util/os/dir-walk.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import { inVault } from '../vault.js';
import { printOf, type Intent, type Move, type Print, type Put } from './intent.js';
import { doneIntents, phaseOf, readIntent } from './journal.js';
import { liveOf, quarantineOf, stampAt, type RollbackPlace } from './place.js';

/** Codes of the refusals to undo what was never done, or was undone before. */
export const noRollback = 'NO_ROLLBACK';
export const undoneAlready = 'UNDONE_ALREADY';
const codes: Readonly<Record<string, string | undefined>> = { none: noRollback, undone: undoneAlready };

export interface UndoOrder {
  readonly tx: string;
  /** ms since 1970. */
  readonly at: number;
  /** The transaction to reverse; the last one that is done, and is no reversal itself, unless given. */
  readonly named?: string;
}

/**
 * What reverses a rollback: what it moved is put back out of quarantine, oldest first, and what it put goes there.
 * @returns a refusal where something was written since at a name that would be put back, naming all of them
 */
export async function undoing(place: RollbackPlace, order: UndoOrder): Promise<Result<Intent>> {
  const found = await toUndo(place, order.named);
  if (!found.ok) return found;
  const done = found.value;
  if (!(await stampAt(quarantineOf(place.vault, done.tx))))
    return fail(
      `the rollback ${done.tx} can no longer be undone: what it moved is gone from ${quarantineOf(place.vault, done.tx)}`,
      exitStatus.failed,
    );
  const puts: Put[] = [];
  const moves: Move[] = [];
  const inTheWay: string[] = [];
  for (const move of [...done.moves].reverse()) {
    const kept = await stampOf(quarantineOf(place.vault, done.tx), move.name);
    if (!kept) continue;
    if (await stampAt(liveOf(place, move))) inTheWay.push(move.path ?? move.name);
    else puts.push(backOut(done, move, kept));
  }
  // the pointers after what they name, and what was put back first last
  for (const put of [...done.puts].reverse()) {
    const live = await stampAt(liveOf(place, put));
    const kept = await stampOf(quarantineOf(place.vault, done.tx), put.name);
    if (live && !isStill(live, put)) inTheWay.push(put.path ?? put.name);
    else if (kept) puts.push(backOut(done, { ...put, id: put.takes ?? put.name }, kept));
    else if (live) moves.push(away(put, live));
  }
  if (inTheWay.length > 0) return refusal(place, done, inTheWay);
  if (puts.length + moves.length === 0)
    return fail(`the rollback ${done.tx} changed nothing that could be undone`, exitStatus.failed);
  const { tx, at } = order;
  return ok({
    schemaVersion: 2,
    tx,
    at,
    dir: place.dir,
    reason: `undo of ${done.tx}`,
    undoes: done.tx,
    puts,
    moves,
  });
}

async function toUndo({ vault }: RollbackPlace, named: string | undefined): Promise<Result<Intent>> {
  if (named !== undefined) {
    const phase = await phaseOf(vault, named);
    if (phase === 'done') return readIntent(vault, named, phase);
    const why = phase === undefined ? 'is not in the vault' : phase === 'open' ? 'is not finished' : 'is undone already'; // prettier-ignore
    return fail(`the rollback ${named} ${why}`, exitStatus.usage, codes[phase ?? 'none']);
  }
  const done = await doneIntents(vault);
  if (!done.ok) return done;
  const last = done.value.findLast((intent) => intent.undoes === undefined);
  return last ? ok(last) : fail('there is no rollback to undo in the vault', exitStatus.failed);
}

const backOut = (
  done: Intent,
  { id, name, path: file, takes }: Pick<Put, 'id' | 'name' | 'path' | 'takes'>,
  kept: Stamp,
): Put => ({
  id,
  name,
  ...(file !== undefined && { path: file }),
  ...(takes !== undefined && { takes }),
  from: path.join(inVault.quarantine, done.tx, name),
  staged: printOf(kept),
  why: 'undo',
});

const away = ({ name, path: file }: Put, { inode }: Stamp): Move => ({
  id: file ?? name,
  name,
  inode,
  ...(file !== undefined && { path: file }),
});

/** Whether nobody has written to it since it was put; of a folder only that it is the same one. */
function isStill(live: Stamp, put: Put): boolean {
  const { staged } = put;
  // on another device it got another inode, and its time to the microsecond
  if (put.path !== undefined && live.inode !== staged.inode)
    return live.kind === staged.kind && live.size === staged.size && near(live, staged);
  if (live.inode !== staged.inode) return false;
  return live.kind === 'folder' || (live.size === staged.size && live.mtimeNs === staged.mtimeNs);
}

const near = (a: { readonly mtimeNs: string }, b: Print): boolean =>
  Math.abs(Number(BigInt(a.mtimeNs) - BigInt(b.mtimeNs))) < 10_000;

function refusal(place: RollbackPlace, done: Intent, names: readonly string[]): Result<never> {
  const some = names.slice(0, 5).join(', ') + (names.length > 5 ? `, and ${names.length - 5} more` : '');
  const [was, them] = names.length === 1 ? ['was', 'it'] : ['were', 'them'];
  return fail(
    `the rollback ${done.tx} is not undone: ${some} ${was} written in ${place.dir} since; move ${them} elsewhere, then undo it`,
    exitStatus.failed,
  );
}
