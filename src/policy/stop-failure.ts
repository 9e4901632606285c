import type { Failure, StackSummary } from '../failure/types.js';
import { formatDuration } from '../util/duration.js';
import { unreachable } from '../util/unreachable.js';
import type { StopCause } from './state.js';

/**
 * Why an attempt failed that we stopped ourselves: it is judged by that, never by its exit status.
 * @param stacks what its threads were last seen to do
 */
export function failureOfStop(
  cause: Extract<StopCause, { type: 'hang' | 'unhealthy' | 'not-resumed' }>,
  stacks?: StackSummary,
): Failure {
  switch (cause.type) {
    case 'hang': {
      const silence = formatDuration(cause.silentMs);
      const how = cause.which === 'startup' ? `within ${silence} of its start` : `for ${silence}`;
      const where = stacks?.top === undefined ? '' : `; it was in ${stacks.top}`;
      return {
        kind: 'hang',
        // the place tells two hangs apart; without one nothing does
        ...(stacks?.top !== undefined && { fingerprint: `hang:${stacks.top}` }),
        reason: `no progress ${how} (${cause.basis})${where}`,
        evidence: stacks?.top === undefined ? [] : [{ text: stacks.top, source: stacks.file }],
        confidence: 0.9,
      };
    }
    case 'unhealthy':
      return {
        kind: 'numeric',
        fingerprint: `numeric:${cause.finding.kind}`,
        reason: cause.finding.reason,
        advice: 'a lower learning rate, gradient clipping or bf16 instead of fp16 are the usual cures',
        evidence: [{ text: cause.finding.reason, source: 'heartbeats' }],
        confidence: 0.95,
      };
    case 'not-resumed': {
      const { reason, advice } = cause.finding;
      const evidence = [{ text: reason, source: 'heartbeats' }];
      return {
        kind: 'not-resumed',
        reason,
        evidence,
        confidence: 0.9,
        ...(advice !== undefined && { advice }),
      };
    }
    default:
      return unreachable(cause);
  }
}
