import { isUsable, type Standing } from '../../policy/checkpoint.js';
import { formatDuration } from '../../util/duration.js';
import { formatBytes, formatCount } from '../../util/text.js';

/** Something that retention may remove: a spare in the vault, a checkpoint in the folder, a quarantined transaction. */
export interface Candidate {
  readonly id: string;
  readonly standing: Standing;
  /** Unknown is not zero. */
  readonly step?: number;
  /** ms since 1970. */
  readonly savedAt: number;
  /** What its removal frees; nothing for hard links while their other names exist. */
  readonly bytes: number;
  /** What {@link Rules.best} goes by. */
  readonly metric?: number;
}

/** What is kept. Each rule keeps for itself; what none keeps goes. */
export interface Rules {
  /** At least 2, of checkpoints. */
  readonly last: number;
  /** The first one of every so many steps. */
  readonly everySteps?: number;
  readonly everyMs?: number;
  readonly best?: { readonly count: number; readonly metric: string; readonly mode: 'min' | 'max' };
  readonly withinMs?: number;
  /** Bound on all together. */
  readonly bytes?: number;
}

/** What never goes, and why, in words. By id. */
export type Floor = ReadonlyMap<string, string>;

export interface Verdict {
  readonly id: string;
  /** As the end of "it stays because it is …", "it goes because it is …". */
  readonly because: string;
}

export interface Plan {
  /** Both oldest first. */
  readonly keep: readonly Verdict[];
  readonly drop: readonly Verdict[];
}

/** A reason to keep, and how readily it yields to a bound: the lowest goes first. */
interface Reason {
  readonly worth: number;
  readonly because: string;
}

/**
 * Decides what stays. Pure.
 * @param candidates oldest first
 * @param now ms since 1970
 * @param wanted bytes to be freed though the rules would keep them: the disk is nearly full
 */
export function plan(
  candidates: readonly Candidate[],
  rules: Rules,
  floor: Floor,
  now: number,
  wanted = 0,
): Plan {
  const reasons = reasonsToKeep(candidates, rules, now);
  const dropped = new Map<string, string>();
  for (const one of candidates)
    if (!floor.has(one.id) && !reasons.has(one.id)) dropped.set(one.id, whyNone(one, rules.last));

  const sum = (some: readonly Candidate[]): number => some.reduce((bytes, one) => bytes + one.bytes, 0);
  const gone = sum(candidates.filter((one) => dropped.has(one.id)));
  let excess = rules.bytes === undefined ? 0 : sum(candidates) - gone - rules.bytes;
  let missing = wanted - gone;
  const worth = (one: Candidate): number => reasons.get(one.id)?.worth ?? 0;
  const yielding = candidates
    .filter((one) => !floor.has(one.id) && !dropped.has(one.id) && isJudged(one) && one.bytes > 0)
    .sort((a, b) => worth(a) - worth(b)); // stable: of equal worth the oldest goes first
  for (const one of yielding) {
    if (excess <= 0 && missing <= 0) break;
    const bound = rules.bytes === undefined ? '' : formatBytes(rules.bytes);
    dropped.set(one.id, excess > 0 ? `over the bound of ${bound}` : 'in the way of the next save');
    excess -= one.bytes;
    missing -= one.bytes;
  }
  return {
    keep: candidates
      .filter((one) => !dropped.has(one.id))
      .map(({ id }) => ({ id, because: floor.get(id) ?? reasons.get(id)?.because ?? '' })),
    drop: [...dropped].map(([id, because]) => ({ id, because })).sort(inOrderOf(candidates)),
  };
}

export interface FloorQuestion {
  /** What the run goes on from. */
  readonly target?: string;
  /** What the framework records as the best. */
  readonly best?: string;
  readonly pinned: ReadonlySet<string>;
}

/**
 * What retention never takes: the newest safe, the newest verified, the one that will be proven safe next (or none ever
 * would, where saves come fast), the rollback target, the framework's best, the pinned. Pure.
 * @param candidates oldest first
 */
export function floorOf(candidates: readonly Candidate[], question: FloorQuestion): Floor {
  const newest = candidates.findLast((one) => isUsable(one.standing));
  const safeAt = candidates.findLastIndex((one) => one.standing === 'safe');
  const next = candidates.slice(safeAt + 1).find((one) => isUsable(one.standing));
  const words: readonly (readonly [string | undefined, string])[] = [
    ...candidates.map((one) => [question.pinned.has(one.id) ? one.id : undefined, 'pinned'] as const),
    [question.best, 'the best by the framework’s own record'],
    [question.target, 'what the run was rolled back to'],
    [next?.id, 'the next to be proven safe'],
    [newest?.id, 'the newest verified one'],
    [candidates[safeAt]?.id, 'the newest safe one'],
  ];
  return new Map(words.flatMap(([id, because]) => (id === undefined ? [] : [[id, because]])));
}

/** Whether enough is known of it to let it go. */
const isJudged = ({ standing }: Candidate): boolean => standing !== 'partial' && standing !== 'complete';

function reasonsToKeep(
  candidates: readonly Candidate[],
  rules: Rules,
  now: number,
): ReadonlyMap<string, Reason> {
  const reasons = new Map<string, Reason>();
  const keep = (some: readonly Candidate[], worth: number, because: (one: Candidate) => string): void => {
    for (const one of some) {
      const known = reasons.get(one.id);
      if (!known || known.worth < worth) reasons.set(one.id, { worth, because: because(one) });
    }
  };
  const age = (one: Candidate): number => now - one.savedAt;
  const good = candidates.filter((one) => isUsable(one.standing));
  const safeAt = candidates.findLastIndex((one) => one.standing === 'safe');
  const doubtful = candidates.filter((one) => isJudged(one) && !isUsable(one.standing));
  keep(candidates.filter((one) => !isJudged(one)), 9, () => 'not verified yet'); // prettier-ignore
  keep(doubtful.filter((one) => candidates.indexOf(one) > safeAt), 1, (one) => `${one.standing}, and no newer one is safe`); // prettier-ignore
  const { everySteps, everyMs, withinMs, best, last } = rules;
  if (everyMs !== undefined)
    keep(firstOfEach(good, (one) => Math.floor(one.savedAt / everyMs)), 2, () => `the first of its ${formatDuration(everyMs)}`); // prettier-ignore
  if (everySteps !== undefined)
    keep(firstOfEach(good, (one) => one.step === undefined ? undefined : Math.floor(one.step / everySteps)), 3, () => `the first of its ${formatCount(everySteps)} steps`); // prettier-ignore
  if (withinMs !== undefined)
    keep(good.filter((one) => age(one) < withinMs), 4, () => `younger than ${formatDuration(withinMs)}`); // prettier-ignore
  if (best)
    keep(bestOf(good, best), 5, (one) => `among the best ${best.count} by ${best.metric} (${one.metric})`); // prettier-ignore
  keep(good.slice(Math.max(0, good.length - last)), 6, () => `one of the last ${last}`);
  return reasons;
}

/** Those of which `keyOf` says something new; of an unknown key nobody knows. */
function firstOfEach(
  candidates: readonly Candidate[],
  keyOf: (one: Candidate) => number | undefined,
): readonly Candidate[] {
  const seen = new Set<number | undefined>([undefined]);
  return candidates.filter((one) => {
    const key = keyOf(one);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function bestOf(
  candidates: readonly Candidate[],
  { count, mode }: NonNullable<Rules['best']>,
): readonly Candidate[] {
  const sign = mode === 'min' ? 1 : -1;
  // NaN is no metric
  const measured = candidates.filter((one) => Number.isFinite(one.metric));
  return measured.sort((a, b) => sign * ((a.metric ?? 0) - (b.metric ?? 0))).slice(0, count);
}

function whyNone({ standing }: Candidate, last: number): string {
  if (isUsable(standing)) return `older than the last ${last}, and no other rule keeps it`;
  return `${standing}, and a newer one is safe`;
}

function inOrderOf(candidates: readonly Candidate[]): (a: Verdict, b: Verdict) => number {
  const place = new Map(candidates.map((one, index) => [one.id, index]));
  return (a, b) => (place.get(a.id) ?? 0) - (place.get(b.id) ?? 0);
}
