import type { Intent } from '../rollback/intent.js';
import { savedAt, type Spare } from './spare.js';

/**
 * The rollback that went back past a spare, so that the training it is of was left; only who names it goes back to it.
 * Pure.
 * @param done rollbacks that were not reversed
 * @param spares all of the vault
 */
export const passedBy = (
  spare: Spare,
  done: readonly Intent[],
  spares: readonly Spare[],
): Intent | undefined =>
  done.find((one) => {
    if (one.undoes !== undefined || one.at <= spare.takenAt || one.target === spare.id) return false;
    if (one.moves.some((move) => move.id === spare.of)) return true;
    // what is rewritten in place was not moved: an older copy of it was put back
    const target = spares.find((other) => other.id === one.target);
    return target?.of === spare.of && savedAt(spare) > savedAt(target);
  });
