/** What a checkpoint is ordered by. */
interface Ordered {
  readonly id: string;
  readonly number?: number;
  /** ms since 1970. */
  readonly modifiedAt: number;
  /** A copy that a metric chose: behind all others. */
  readonly chosen?: boolean;
}

/**
 * Oldest first: by number in the name, then by time. One without a number stands before the first numbered one that is
 * newer than it. What a metric chose comes before all: training never goes on from it while another is good. Pure.
 */
export function oldestFirst<T extends Ordered>(checkpoints: readonly T[]): T[] {
  const chosen = checkpoints.filter((one) => one.chosen);
  return [...inOrder(chosen), ...inOrder(checkpoints.filter((one) => !one.chosen))];
}

function inOrder<T extends Ordered>(checkpoints: readonly T[]): T[] {
  const byTime = (a: T, b: T): number => a.modifiedAt - b.modifiedAt || (a.id < b.id ? -1 : 1);
  const answer = checkpoints
    .filter((one) => one.number !== undefined)
    .sort((a, b) => (a.number ?? 0) - (b.number ?? 0) || byTime(a, b));
  for (const lone of checkpoints.filter((one) => one.number === undefined).sort(byTime)) {
    const at = answer.findIndex((one) => one.modifiedAt > lone.modifiedAt);
    answer.splice(at < 0 ? answer.length : at, 0, lone);
  }
  return answer;
}
