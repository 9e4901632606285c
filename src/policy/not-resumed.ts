import { type CheckpointFact, isSameCheckpoint, isUsable } from './checkpoint.js';
import type { Event } from './event.js';
import { giveUp } from './next.js';
import type { Policy } from './policy.js';
import type { Ledger } from './state.js';
import type { Step } from './step.js';

/** The run ends, and leaves the folder as it was before an attempt that began anew saved into it. */
export function undoSaves(
  policy: Policy,
  ledger: Ledger,
  from: CheckpointFact,
  event: Extract<Event, { type: 'inspected' }>,
  why: string,
): Step {
  const { checkpoints, guessed } = event;
  const back = putBack({ checkpoints, guessed, rollbackEnabled: policy.rollbackEnabled, from });
  if (!back) return giveUp(ledger, why, event);
  const { target, moves } = back;
  const reason = 'the training began anew and saved over what it was to go on from';
  return {
    state: { name: 'rolling-back', next: { type: 'give-up', why }, target, reason, ledger },
    effects: [{ type: 'roll-back', target: target.id, moves, reason }],
  };
}

/** How a folder gets back to what it was before an attempt that began anew saved into it. */
export interface PutBack {
  readonly target: CheckpointFact;
  /** Ids to move into quarantine, newest first. */
  readonly moves: readonly string[];
}

/**
 * What to do about the saves of an attempt that did not resume: they go, and the checkpoint it should have gone on from
 * is put back if they took its place.
 * @returns undefined: the folder is as it was, or may or can not be put in order
 */
export function putBack(question: {
  /** Oldest first. */
  readonly checkpoints: readonly CheckpointFact[];
  readonly guessed: boolean;
  readonly rollbackEnabled: boolean;
  readonly from: CheckpointFact;
}): PutBack | undefined {
  const { checkpoints, guessed, rollbackEnabled, from } = question;
  if (!rollbackEnabled) return undefined;
  const live = checkpoints.filter((checkpoint) => !checkpoint.spare);
  const untouched = live.find((one) => isSameCheckpoint(one, from));
  const target =
    untouched ?? checkpoints.findLast((one) => one.spare && one.step === from.step && isUsable(one.standing));
  if (!target) return undefined;
  const moves = live
    .filter((one) => one !== target && one.modifiedAt > from.modifiedAt && (one.ours || !guessed))
    .map(({ id }) => id)
    .reverse();
  return untouched && moves.length === 0 ? undefined : { target, moves };
}
