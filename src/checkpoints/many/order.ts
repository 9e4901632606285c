import type { CheckpointFact } from '../../policy/checkpoint.js';
import type { RollbackRequest } from '../../supervisor/ports.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import type { Joint, Part } from './join.js';

/** What one folder is asked to do. */
export interface FolderOrder {
  readonly folder: number;
  readonly target?: CheckpointFact;
  /** Newest first. */
  readonly moves: readonly CheckpointFact[];
}

/**
 * What each folder does so that all come back to one step; folders that have nothing to do are left out. A newer
 * checkpoint of which only some folders still hold their part goes too: the request does not name it, since as a whole
 * it lies in the vault. Pure.
 * @param joints oldest first
 */
export function orderFor(
  joints: readonly Joint[],
  request: Pick<RollbackRequest, 'target' | 'moves'>,
): Result<readonly FolderOrder[]> {
  const at = joints.findIndex(({ fact }) => fact.id === request.target);
  if (request.target !== undefined && at < 0)
    return fail(`${JSON.stringify(request.target)} is no longer there; nothing was moved`, exitStatus.failed);
  const going = joints.filter(
    ({ fact }, index) => request.moves.includes(fact.id) || (index > at && fact.spare === true),
  );
  const moving = going.flatMap(({ parts }) => parts).filter((part) => part.fact.spare !== true);
  const targets = joints[at]?.parts ?? [];
  const folders = [...new Set([...targets, ...moving].map((part) => part.folder))].sort((a, b) => a - b);
  return ok(
    folders.map((folder) => {
      const own = (part: Part): boolean => part.folder === folder;
      const target = targets.find(own)?.fact;
      const moves = moving
        .filter(own)
        .map((part) => part.fact)
        .reverse();
      return { folder, moves, ...(target && { target }) };
    }),
  );
}
