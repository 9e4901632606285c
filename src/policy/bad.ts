import { formatCount } from '../util/text.js';
import type { CheckpointFact } from './checkpoint.js';
import type { FailureRecord } from './state.js';

/** From where on a training was bad: a step; or, for a training that names none, a time (ms since 1970). */
export interface Bad {
  readonly step?: number;
  readonly at?: number;
}

/** Where a failure says that it went bad; undefined: it does not. */
export function badOf(failure: Pick<FailureRecord, 'badStep' | 'badAt'> | undefined): Bad | undefined {
  const { badStep: step, badAt: at } = failure ?? {};
  if (step === undefined && at === undefined) return undefined;
  return { ...(step !== undefined && { step }), ...(at !== undefined && { at }) };
}

/** Whether a checkpoint was saved before the training went bad; undefined: nobody knows. */
export function isBefore(checkpoint: CheckpointFact, bad: Bad): boolean | undefined {
  const step = checkpoint.step ?? checkpoint.number;
  if (step !== undefined && bad.step !== undefined) return step < bad.step;
  return bad.at === undefined ? undefined : checkpoint.modifiedAt < bad.at;
}

/** `step 1,240`, or a time of day. */
export const badWords = ({ step, at = 0 }: Bad): string =>
  step === undefined
    ? `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`
    : `step ${formatCount(step)}`;
