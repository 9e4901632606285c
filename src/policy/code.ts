import type { Event } from './event.js';
import type { State } from './state.js';

/** What the attempt under way is run from is remembered until the next one. */
export function noteCode(state: State, event: Extract<Event, { type: 'code-noted' }>): State {
  const { ledger } = state;
  if (event.attempt !== ledger.lastLaunched) return state;
  return { ...state, ledger: { ...ledger, code: event.code } };
}
