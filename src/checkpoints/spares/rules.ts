import { isUsable, type CheckpointFact } from '../../policy/checkpoint.js';
import { roomFor } from '../retention/room.js';

/** How many of the newest good checkpoints have a spare, besides the newest safe one. */
const newestKept = 2;
/** A copy may take this share of the time at most: one in so many parts. */
const copyShare = 5;

/**
 * The checkpoints of which a rollback may need a spare: the newest safe one, and of those newer the newest two that can
 * be trusted; and the pinned. Pure.
 * @param facts oldest first
 * @returns newest first
 */
export function worthKeeping(facts: readonly CheckpointFact[]): readonly CheckpointFact[] {
  const good = facts.filter((fact) => isUsable(fact.standing));
  const from = Math.max(
    0,
    good.findLastIndex((fact) => fact.standing === 'safe'),
  );
  const wanted = new Set([...good.slice(from, from + 1), ...good.slice(from).slice(-newestKept)]);
  return good.filter((fact) => wanted.has(fact) || fact.pinned === true).reverse();
}

/** Whether saves come so fast that copying each would be most of what the disk does. Pure. */
export const isTooSoon = (
  last: { readonly tookMs: number; readonly endedMono: number },
  mono: number,
): boolean => mono - last.endedMono < copyShare * last.tookMs;

/** Whether a copy leaves room for the trainer's own next save: else retention would drop it at once. Pure. */
export const hasRoom = (freeBytes: number, sizeBytes: number): boolean =>
  freeBytes >= sizeBytes + roomFor(sizeBytes);
