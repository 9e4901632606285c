import { newDraft, setField } from '../draft.js';
import type { Heartbeat } from '../types.js';
import { wholeNumber } from './metric.js';

/**
 * What the named groups of a user's expression matched, as a heartbeat: step, epoch, loss, grad_norm, total_steps, phase,
 * checkpoint and rank, and other numbers as metrics. Nothing if no known group had a legal value.
 */
export function readGroups(groups: Readonly<Record<string, string>>): Heartbeat[] | undefined {
  const draft = newDraft();
  for (const [name, text] of Object.entries(groups)) {
    const value = wholeNumber(text.replaceAll(/(?<=\d),(?=\d{3})/g, ''));
    // a path may be called 7
    if (name === 'checkpoint' || value === undefined)
      setField(draft, name, name === 'phase' ? text.toLowerCase() : text);
    else setField(draft, name, value);
  }
  return draft.recognised ? [draft.heartbeat] : undefined;
}
