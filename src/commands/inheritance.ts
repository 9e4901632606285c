import type { State } from '../policy/state.js';
import type { StateRecord } from '../report/status-view.js';
import type { Cut } from '../runs/metrics.js';
import type { Inheritance } from '../supervisor/parts.js';

/** An attempt that was under way when its supervisor died. */
export type UnderWay = Extract<State, { name: 'starting' | 'running' | 'stopping' }>;

export const isUnderWay = (state: State): state is UnderWay =>
  state.name === 'starting' || state.name === 'running' || state.name === 'stopping';

/**
 * What state.json knows of the attempt that the journal says is under way: how far its logs were folded, and what that
 * came to. It may be older than the journal; of an attempt that it does not know yet, nothing was folded.
 */
export function inheritanceOf(state: State, last: StateRecord | undefined): Inheritance | undefined {
  if (!last || !isUnderWay(state)) return undefined;
  const { progress, offsets, mono, state: then } = last;
  const { attempt } = state.ledger;
  // while an attempt starts, what is shown may still be its predecessor's
  if ((then.name !== 'running' && then.name !== 'stopping') || then.ledger.attempt !== attempt)
    return undefined;
  return progress && offsets && { attempt, progress, offsets, mono };
}

/** What of metrics.jsonl will be folded again, and so must go first; undefined: nothing. */
export function metricsToCut(state: State, last: StateRecord | undefined): Cut | undefined {
  if (!isUnderWay(state)) return undefined;
  const known = inheritanceOf(state, last) && last?.heartbeats;
  return known === undefined ? { fromAttempt: state.ledger.attempt } : { fromNumber: known };
}
