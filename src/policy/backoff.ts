import type { Policy } from './policy.js';

/**
 * How long to wait before retry number `n` (0 first) of a row of failures, ms: `min(max, initial · factor^n)` and up
 * to `jitter` of it on top, so that many runs that failed together do not come back together. The defaults, 10 s to
 * 5 min, are Kubernetes' CrashLoopBackOff.
 * @param chance 0 to 1
 */
export function backoffMs(backoff: Policy['backoff'], n: number, chance: number): number {
  const base = Math.min(backoff.maxMs, backoff.initialMs * backoff.factor ** n);
  return Math.round(base * (1 + backoff.jitter * chance));
}
