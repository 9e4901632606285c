import type { State } from '../policy/state.js';

export type Ended = Extract<State, { name: 'ended' }>;

/** What a run may have come to for there to be nothing left to do: completed or given up; or any end at all. */
export type Unless = 'done' | 'ended';

export const isOver = ({ outcome }: Ended, unless: Unless): boolean =>
  unless === 'ended' || outcome === 'completed' || outcome === 'failed';

/** Why a run is not gone on with, in words. */
export function overWords(run: string, ended: Ended): string {
  if (ended.outcome === 'completed') return `run ${run} has completed; leave --unless-done out to train on`;
  if (ended.outcome !== 'failed') return `run ${run} was ${ended.outcome}`;
  return `run ${run} was given up: ${ended.reason}; leave --unless-done out to train on`;
}
