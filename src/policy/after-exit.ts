import type { Failure } from '../failure/types.js';
import { formatDuration } from '../util/duration.js';
import { formatCount } from '../util/text.js';
import { unreachable } from '../util/unreachable.js';
import type { Event } from './event.js';
import { noteAttempt } from './ledger.js';
import { end, endedByRequest } from './end.js';
import type { Policy } from './policy.js';
import type { FailureRecord, Ledger, State } from './state.js';
import type { Step } from './step.js';

type Exited = Extract<Event, { type: 'exited' }>;
type Alive = Extract<State, { name: 'starting' | 'running' | 'stopping' }>;

/** Preemptions in a row without progress that are free. */
const freePreemptions = 5;

/** An attempt is over. One that we stopped is judged by why we did, never by its exit status. */
export function afterExit(_policy: Policy, state: Alive, event: Exited): Step {
  const ledger = noteAttempt(state.ledger, event.summary);
  if (state.name === 'starting' && state.stop !== undefined)
    return endedByRequest(ledger, state.stop, event.at);
  if (state.name !== 'stopping') {
    return event.failure.kind === 'success'
      ? inspectSuccess(ledger)
      : inspectFailure(ledger, event, event.failure);
  }
  const { cause } = state;
  switch (cause.type) {
    case 'person':
      return finishedAnyway(event) ? inspectSuccess(ledger) : endedByRequest(ledger, cause.by, event.at);
    case 'preempted':
      return finishedAnyway(event) ? inspectSuccess(ledger) : endPreempted(ledger, event);
    case 'hang':
      return inspectFailure(ledger, event, {
        kind: 'hang',
        reason:
          cause.which === 'startup'
            ? `no progress within ${formatDuration(cause.silentMs)} of its start (${cause.basis})`
            : `no progress for ${formatDuration(cause.silentMs)} (${cause.basis})`,
        evidence: [],
        confidence: 0.9,
      });
    case 'unhealthy':
      return inspectFailure(
        ledger,
        event,
        { kind: 'numeric', reason: cause.finding.reason, evidence: [], confidence: 0.95 },
        cause.finding.step,
      );
    default:
      return unreachable(cause);
  }
}

/** Exit 0 after a stop request is the end of the training only if it reached its last step. */
function finishedAnyway({ exit, summary }: Exited): boolean {
  if (exit.type !== 'code' || exit.code !== 0) return false;
  const { lastStep, totalSteps } = summary;
  return lastStep !== undefined && totalSteps !== undefined && lastStep >= totalSteps;
}

const inspectSuccess = (ledger: Ledger): Step => ({
  state: { name: 'inspecting', after: 'success', ledger },
  effects: [{ type: 'inspect' }],
});

function endPreempted(ledger: Ledger, event: Exited): Step {
  const idle = event.summary.heartbeats === 0 ? ledger.freePreemptions + 1 : 0;
  const counted = { ...ledger, freePreemptions: idle };
  if (idle < freePreemptions) return endedByRequest(counted, 'preemption', event.at);
  return end(counted, {
    outcome: 'failed',
    reason: `preempted ${formatCount(idle)} times in a row without any progress`,
    at: event.at,
  });
}

/** What was saved up to the end of the attempt decides about the budget, so the folder is looked at first. */
function inspectFailure(ledger: Ledger, event: Exited, failure: Failure, badStep?: number): Step {
  const { kind, reason, advice, evidence, fingerprint, ruled } = failure;
  const step = event.summary.lastStep;
  const record: FailureRecord = {
    attempt: ledger.attempt,
    at: event.at,
    kind,
    reason,
    evidence,
    exit: event.exit,
    action: '',
    quarantined: [],
    ...(advice !== undefined && { advice }),
    ...(fingerprint !== undefined && { fingerprint }),
    ...(step !== undefined && { step }),
    ...(badStep !== undefined && { badStep }),
    ...(ruled !== undefined && { ruled }),
  };
  return {
    state: { name: 'inspecting', after: 'failure', failure: record, ledger },
    effects: [{ type: 'inspect' }],
  };
}
