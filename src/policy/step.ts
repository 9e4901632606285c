import type { Effect } from './effect.js';
import type { State } from './state.js';

/** What a transition answers: the next state, and what is to be done once that state is saved. */
export interface Step {
  readonly state: State;
  readonly effects: readonly Effect[];
}
