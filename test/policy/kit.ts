import type { Exit, Failure, FailureKind } from '../../src/failure/types.js';
import type { CheckpointFact, Standing } from '../../src/policy/checkpoint.js';
import type { ProgressSummary } from '../../src/policy/event.js';
import type { Policy } from '../../src/policy/policy.js';

/** The defaults that the scenarios change one by one. */
export const policy = (change: Partial<Policy> = {}): Policy => ({
  maxRetries: 3,
  stopOnRepeat: 3,
  outageWindowMs: 2 * 3_600_000,
  rollbackEnabled: true,
  allowScratch: false,
  backoff: { initialMs: 10_000, factor: 2, maxMs: 300_000, jitter: 0.25 },
  silence: {},
  health: { nonFinite: 'rollback', spike: 'warn', notResumed: 'stop' },
  stop: { signal: 'SIGTERM', graceMs: 30_000 },
  provenAfterMs: 120_000,
  rules: [],
  ...change,
});

/** A checkpoint of this run, saved at `step`. */
export const saved = (
  step: number,
  standing: Standing = 'verified',
  change: Partial<CheckpointFact> = {},
): CheckpointFact => ({
  id: `checkpoint-${step}`,
  path: `/ckpts/checkpoint-${step}`,
  step,
  number: step,
  modifiedAt: 1_000_000 + step,
  sizeBytes: 1024,
  standing,
  why: standing === 'corrupt' ? 'cut off at byte 512' : standing,
  ours: true,
  ...change,
});

/** The same without any step: what is not known is left out, not undefined. */
export function savedWithoutStep(id: string, modifiedAt: number): CheckpointFact {
  const { step: _step, number: _number, ...rest } = saved(0);
  return { ...rest, id, path: `/ckpts/${id}`, modifiedAt };
}

/** What an attempt came to that went from one step to another, a second a step; no steps: no progress at all. */
export function steps(first?: number, last = first, change: Partial<ProgressSummary> = {}): ProgressSummary {
  if (first === undefined || last === undefined) return { heartbeats: 0, longestPhaseMs: {}, ...change };
  return {
    heartbeats: last - first + 1,
    firstStep: first,
    lastStep: last,
    startMs: 500,
    trainMs: (last - first + 1) * 1000,
    longestIntervalMs: 1000,
    longestPhaseMs: {},
    ...change,
  };
}

/** Progress that no step was ever named in. */
export const stepless = (): ProgressSummary => ({
  heartbeats: 3,
  startMs: 500,
  trainMs: 2000,
  longestPhaseMs: {},
});

export const code = (n: number): Exit => ({ type: 'code', code: n });
export const killedBy = (signal: string, number: number): Exit => ({ type: 'signal', signal, number });

export const failure = (kind: FailureKind, change: Partial<Failure> = {}): Failure => ({
  kind,
  reason: `it was ${kind}`,
  evidence: [],
  confidence: 0.9,
  ...change,
});

/** A traceback that two attempts have in common if they have `fingerprint` in common. */
export const exception = (fingerprint?: string): Failure =>
  failure('exception', fingerprint === undefined ? {} : { fingerprint });

/** Whoever changes what was given to it throws. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}

export const throughJson = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
