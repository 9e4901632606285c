import { type CheckpointFact, isSameCheckpoint, isUsable } from './checkpoint.js';
import type { Policy } from './policy.js';
import type { FailureRecord, Ledger, Suspect } from './state.js';

const words: Record<Suspect['by'], string> = {
  loader: 'the training could not load it, though its bytes look good',
  training: 'the training failed soon after it resumed from it',
};

/** The checkpoints as the run sees them: what it suspects is suspect. */
export function withSuspects(
  checkpoints: readonly CheckpointFact[],
  suspects: readonly Suspect[] = [],
): readonly CheckpointFact[] {
  if (suspects.length === 0) return checkpoints;
  return checkpoints.map((checkpoint) => {
    const suspect = suspects.find((one) => isSameCheckpoint(one, checkpoint));
    const doubted = suspect !== undefined && (isUsable(checkpoint.standing) || checkpoint.standing === 'complete'); // prettier-ignore
    return doubted ? { ...checkpoint, standing: 'suspect', why: words[suspect.by] } : checkpoint;
  });
}

/**
 * Whether the checkpoint that the failed attempt had resumed from is to blame, and the one before it is worth a try:
 * numbers went bad soon after it, its loader could not read it (one that is not shown to be damaged in a row of
 * failures), or training failed soon after it once more without getting further. Pure.
 * @param ledger before the failure is counted in its backoffs
 */
export function suspicion(policy: Policy, ledger: Ledger, failure: FailureRecord): Suspect | undefined {
  const { resumedFrom, kind, ruled, loading } = failure;
  if (!resumedFrom || !policy.rollbackEnabled || (ruled !== undefined && ruled !== 'rollback'))
    return undefined;
  const { path, modifiedAt } = resumedFrom;
  if (loading === 'unreadable' && kind === 'checkpoint') {
    const first = !ledger.suspects?.some(({ by }) => by === 'loader');
    return first ? { path, modifiedAt, by: 'loader' } : undefined;
  }
  // of a training whose progress is not recognised only its life is known
  const trained = failure.trainMs ?? (ledger.timing.everProgressed ? 0 : (failure.lastedMs ?? 0));
  const soon = trained < policy.provenAfterMs;
  const again = ledger.backoffs > 0;
  // what healthy training went on after is believed once more
  const bad = (kind === 'numeric' || ruled === 'rollback') && (again || resumedFrom.standing !== 'safe');
  if (!soon || !(bad || (again && mayBeTheState(failure)))) return undefined;
  return { path, modifiedAt, by: 'training' };
}

/** Failures that what was resumed from may have caused; the surroundings' own are none of them. */
function mayBeTheState({ kind, fingerprint }: FailureRecord): boolean {
  // who is killed from outside has no fingerprint; a fault of native code has one
  if (kind === 'killed') return fingerprint !== undefined;
  return kind === 'exception' || kind === 'hang' || kind === 'unknown';
}
