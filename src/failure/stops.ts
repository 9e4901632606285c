import type { StopCause } from '../policy/state.js';
import type { HealthFinding } from '../progress/types.js';
import { formatDuration } from '../util/duration.js';
import { unreachable } from '../util/unreachable.js';
import type { Failure } from './types.js';

/** An attempt that trainguard stopped is judged by why, never by its exit status. */
export function failureOfStop(cause: StopCause): Failure {
  switch (cause.type) {
    case 'person':
      return stoppedFailure();
    case 'preempted':
      return preemptedFailure();
    case 'hang':
      return hangFailure(cause.which, cause.silentMs, cause.basis);
    case 'unhealthy':
      return numericFailure(cause.finding);
    default:
      return unreachable(cause);
  }
}

export const hangFailure = (which: 'startup' | 'silence', silentMs: number, basis: string): Failure => ({
  kind: 'hang',
  reason:
    which === 'startup'
      ? `it hangs: no progress within ${formatDuration(silentMs)} of its start (${basis})`
      : `it hangs: no progress for ${formatDuration(silentMs)} (${basis})`,
  evidence: [],
  confidence: 0.9,
});

export const numericFailure = (finding: HealthFinding): Failure => ({
  kind: 'numeric',
  fingerprint: `numeric:${finding.kind}`,
  reason: finding.reason,
  advice: 'a lower learning rate, gradient clipping or bf16 instead of fp16 are the usual cures',
  evidence: [{ text: finding.reason, source: 'heartbeats' }],
  confidence: 0.95,
});

export const stoppedFailure = (): Failure => ({
  kind: 'stopped',
  reason: 'a person stopped it',
  evidence: [],
  confidence: 1,
});

export const preemptedFailure = (): Failure => ({
  kind: 'preempted',
  reason: 'the machine was asked for by somebody else (preempted)',
  evidence: [],
  confidence: 1,
});
