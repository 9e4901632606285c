import type { Policy } from './policy.js';

/**
 * How long to wait before retry number `n` (0 first) of a row of failures, ms: `min(max, initial · factor^n)` and up
 * to `jitter` of it on top, so that many runs that failed together do not come back together. The defaults, 10 s to
 * 5 min, are Kubernetes' CrashLoopBackOff.
 * @param chance 0 to 1
 */
export function backoffMs(backoff: Policy['backoff'], n: number, chance: number): number {
  // the power overflows after some thousand tries, and 0 × Infinity is not 0
  const grown = backoff.initialMs === 0 ? 0 : backoff.initialMs * backoff.factor ** n;
  const base = Math.min(backoff.maxMs, grown);
  return Math.round(base * (1 + backoff.jitter * chance));
}
