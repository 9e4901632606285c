import { isUsable } from '../policy/checkpoint.js';
import type { CheckpointStore } from '../supervisor/ports.js';
import { ok, type Result } from '../util/result.js';
import { type GoneBack, isAmong } from './gone-back.js';
import { type FolderSettings, verifyBudgetMs } from './safe-look.js';
import { inFolders, type Visit } from './safe-open.js';

const reason = 'the recovery gives up, and what it had gone back past is put back';

/**
 * Puts back what rollbacks moved that went deeper than damage called for.
 * @param deeper the newest first
 * @returns whether anything is back where it was
 */
export async function putBack(
  settings: FolderSettings,
  visit: Visit,
  deeper: readonly GoneBack[],
): Promise<Result<boolean>> {
  return inFolders(settings, visit, async (store) => {
    let isBack = false;
    for (const one of deeper) {
      const done = await undo(store, one);
      if (!done.ok) return done;
      isBack ||= done.value;
    }
    return ok(isBack);
  });
}

async function undo(store: CheckpointStore, { tx, left }: GoneBack): Promise<Result<boolean>> {
  const found = await store.inspect({ live: false, budgetMs: verifyBudgetMs });
  if (!found.ok) return found;
  // what was saved since may bear the names of what comes back
  const live = found.value.checkpoints.filter(({ spare }) => !spare);
  const since = live.filter((one) => !isAmong(one, left));
  // the training got on from there: that is not given up for what it could not go on from
  if (since.some(({ standing }) => isUsable(standing))) return ok(false);
  const moves = since.map(({ id }) => id).reverse();
  if (moves.length > 0) {
    const target = live.findLast((one) => isAmong(one, left))?.id;
    const moved = await store.rollback({ moves, reason, ...(target !== undefined && { target }) });
    if (!moved.ok) return moved;
  }
  const back = await store.undo(tx);
  // a person may have done it before
  const isBack = back.ok || back.error.code === 'UNDONE_ALREADY' || back.error.code === 'NO_ROLLBACK';
  return isBack ? ok(true) : back;
}
