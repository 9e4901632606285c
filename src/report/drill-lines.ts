import type { DrillFacts, DrillVerdict } from './drill-facts.js';
import type { Line } from './narrate.js';

/** A drill's outcome for people. */
export function drillLines({ proven, words, advice }: DrillVerdict): readonly Line[] {
  return [
    { tone: proven ? 'done' : 'failure', text: `${proven ? 'proven' : 'not proven'}: ${words}` },
    ...advice.map((text): Line => ({ tone: 'detail', text })),
  ];
}

/** A drill's outcome for programs (`--json`). */
export function drillReport(verdict: DrillVerdict, facts: DrillFacts): Record<string, unknown> {
  const { first, second, target } = facts;
  const shown = (seen: typeof first): Record<string, unknown> => ({
    firstStep: seen.firstStep ?? null,
    lastStep: seen.lastStep ?? null,
    seconds: seen.seconds,
    ended: seen.ended ? { exit: seen.ended.exit, kind: seen.ended.failure.kind, reason: seen.ended.failure.reason } : null, // prettier-ignore
  });
  return {
    type: 'drill',
    schemaVersion: 1,
    ...verdict,
    checkpoint: 'path' in target ? { id: target.id, step: target.step ?? null } : null,
    attempts: [shown(first), ...(second ? [shown(second)] : [])],
  };
}
