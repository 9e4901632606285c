import { type CheckpointFact, isSameCheckpoint } from './checkpoint.js';
import type { Event } from './event.js';
import type { FailureRecord } from './state.js';

/**
 * What a failure to load a checkpoint, or before the first step after that, is once its bytes were read again: damaged, it is the checkpoint's;
 * good, it is the program's, since it does not fit, or a doubt in what verification cannot see. Pure.
 */
export function settleLoading(
  failure: FailureRecord,
  event: Extract<Event, { type: 'inspected' }>,
): FailureRecord {
  const { loading, resumedFrom, ruled } = failure;
  if (ruled !== undefined || (loading === undefined && event.resumedDamage === undefined)) return failure;
  const damage = event.resumedDamage ?? damageOf(resumedFrom, event.checkpoints);
  const what = resumedFrom?.id ?? 'the checkpoint';
  if (damage !== undefined) {
    const { loading: _known, ...rest } = failure;
    return { ...rest, kind: 'checkpoint', reason: `${failure.reason}; ${what} is damaged: ${damage}` };
  }
  if (loading === undefined || event.resumedDamage === undefined) return failure;
  const reason = `${failure.reason}; ${what} was read again, and its bytes are good`;
  return { ...failure, reason };
}

function damageOf(
  resumedFrom: CheckpointFact | undefined,
  checkpoints: readonly CheckpointFact[],
): string | undefined {
  const now = resumedFrom && checkpoints.find((one) => !one.spare && isSameCheckpoint(one, resumedFrom));
  return now?.standing === 'corrupt' || now?.standing === 'partial' ? now.why : undefined;
}
