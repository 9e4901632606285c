import type { CheckpointFact } from '../../policy/checkpoint.js';
import { floorOf, plan, type Candidate, type Floor, type Rules } from './plan.js';
import type { Prunable, Pruned } from '../../supervisor/ports.js';
import type { Transaction } from './quarantine.js';

/** `checkpoints.keep` of the configuration. Times in ms. */
export interface KeepRules extends Rules {
  /** Whether the checkpoint folder itself is pruned, not the vault alone. */
  readonly folder: boolean;
  /** The budget of what rollbacks moved away. */
  readonly quarantine: { readonly last: number; readonly withinMs: number; readonly bytes?: number };
}

/** A spare in the vault, as retention sees it. */
export interface SpareCandidate extends Candidate {
  /** Its id while it lay in the checkpoint folder. */
  readonly of: string;
  /** The checkpoint folder holds the same bytes. */
  readonly inFolder: boolean;
}

/** All that retention may remove, as it lies there now; each list oldest first. */
export interface Survey {
  readonly spares: readonly SpareCandidate[];
  readonly transactions: readonly Transaction[];
  /** Those of the checkpoint folder. */
  readonly live: readonly (Candidate & Pick<CheckpointFact, 'ours'>)[];
  readonly pinned: ReadonlySet<string>;
  /** The id that the framework records as the best. */
  readonly best?: string;
  /** The folder was only guessed: what this run did not write stays. */
  readonly guessed: boolean;
}

/**
 * What of the vault, and of the folder where the rules say so, is to go. Pure.
 * @param now ms since 1970
 * @param wanted bytes that the next save lacks: the spares yield first, then what rollbacks moved away
 */
export function decide(survey: Survey, rules: KeepRules, now: number, wanted = 0): Pruned {
  const folder = rules.folder ? decided('checkpoint', survey.live, plan(survey.live, rules, folderFloor(survey), now)) : none; // prettier-ignore
  const missing = wanted - freed(folder);
  const spares = decided('spare', survey.spares, plan(survey.spares, rules, spareFloor(survey, folder, missing > 0), now, missing)); // prettier-ignore
  const moved: readonly Candidate[] = survey.transactions.map(({ tx, at, bytes }) => ({ id: tx, standing: 'verified', savedAt: at, bytes })); // prettier-ignore
  const transactions = decided('transaction', moved, plan(moved, rules.quarantine, quarantineFloor(survey), now, missing - freed(spares))); // prettier-ignore
  const parts = [folder, spares, transactions];
  return { keep: parts.flatMap((part) => part.keep), drop: parts.flatMap((part) => part.drop) };
}

const none: Pruned = { keep: [], drop: [] };

export const freed = ({ drop }: Pruned): number => drop.reduce((bytes, one) => bytes + one.bytes, 0);

/** @param short the disk is: what the folder holds as well is no loss */
function spareFloor(survey: Survey, folder: Pruned, short: boolean): Floor {
  const { spares, pinned } = survey;
  const leaving = new Set(folder.drop.map((one) => one.id));
  const called = (id: string | undefined): SpareCandidate | undefined =>
    spares.findLast((one) => one.id === id) ?? spares.findLast((one) => one.of === id);
  const own = new Set([...pinned].flatMap((id) => called(id)?.id ?? []));
  const floor = floorOf(spares, { ...question(survey, (id) => called(id)?.id), pinned: own });
  if (!short) return floor;
  const elsewhere = new Set(
    spares.filter((one) => one.inFolder && !leaving.has(one.of)).map((one) => one.id),
  );
  return new Map([...floor].filter(([id]) => own.has(id) || !elsewhere.has(id)));
}

function folderFloor(survey: Survey): Floor {
  const { live, guessed, pinned } = survey;
  const newest = live.at(-1);
  const foreign = guessed ? live.filter((one) => !one.ours) : [];
  return new Map([
    ...foreign.map((one) => [one.id, 'not written by this run, in a folder that was only guessed'] as const),
    ...(newest ? [[newest.id, 'the newest'] as const] : []),
    ...floorOf(live, { ...question(survey, (id) => id), pinned }),
  ]);
}

/** The newest transaction can be undone as long as the run goes on from it; what is pinned stays wherever it lies. */
function quarantineFloor({ transactions }: Survey): Floor {
  const newest = transactions.findLast((one) => !one.undone);
  const holding = transactions.filter((one) => one.pinned);
  return new Map([
    ...(newest ? [[newest.tx, 'the newest, which can be undone'] as const] : []),
    ...holding.map((one) => [one.tx, 'holding a pinned checkpoint'] as const),
  ]);
}

/** What of a survey is the same for all floors, in the ids that the candidates have. */
function question(
  { transactions, best }: Survey,
  idOf: (id: string | undefined) => string | undefined,
): { readonly target?: string; readonly best?: string } {
  const target = idOf(transactions.findLast((one) => !one.undone)?.target);
  const own = idOf(best);
  return { ...(target !== undefined && { target }), ...(own !== undefined && { best: own }) };
}

function decided(
  kind: Prunable['kind'],
  candidates: readonly Candidate[],
  planned: ReturnType<typeof plan>,
): Pruned {
  const bytes = new Map(candidates.map((one) => [one.id, one.bytes]));
  const named = (some: typeof planned.keep): readonly Prunable[] =>
    some.map(({ id, because }) => ({ kind, id, because, bytes: bytes.get(id) ?? 0 }));
  return { keep: named(planned.keep), drop: named(planned.drop) };
}
