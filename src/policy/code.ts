import type { CodeFacts } from '../failure/types.js';
import type { Event } from './event.js';
import type { Ledger, State } from './state.js';
import type { Step } from './step.js';

/** What the attempt under way is run from. Another code makes another failure: repeats are counted anew. */
export function noteCode(state: State, event: Extract<Event, { type: 'code-noted' }>): Step {
  const { ledger } = state;
  const { attempt } = event;
  if (attempt !== ledger.lastLaunched) return { state, effects: [] };
  const { codeChanged: _before, ...rest } = ledger;
  const noted: Ledger = { ...rest, code: { ...event.code, attempt } };
  const changed = ledger.code && whatChanged(ledger.code, event.code);
  if (changed === undefined || !ledger.code) return { state: { ...state, ledger: noted }, effects: [] };
  const text = `the code changed between attempts ${ledger.code.attempt} and ${attempt}: ${changed}`;
  const { repeat: _other, ...counted } = noted;
  return {
    state: { ...state, ledger: { ...counted, codeChanged: text } },
    effects: [{ type: 'tell', text }],
  };
}

/** How the second differs from the first, in words. What was not known of either is no difference. */
function whatChanged(before: CodeFacts, after: CodeFacts): string | undefined {
  const parts: string[] = [];
  if (before.head !== undefined && after.head !== undefined && before.head !== after.head)
    parts.push(`commit ${before.head.slice(0, 8)} → ${after.head.slice(0, 8)}`);
  else if (before.diff !== after.diff) parts.push('files were edited');
  if (
    before.interpreter !== undefined &&
    after.interpreter !== undefined &&
    before.interpreter !== after.interpreter
  )
    parts.push(`${before.interpreter} → ${after.interpreter}`);
  return parts.length === 0 ? undefined : parts.join(', ');
}
