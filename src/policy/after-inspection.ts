import type { Instant } from '../progress/types.js';
import { backoffMs } from './backoff.js';
import { judge, type Verdict } from './budget.js';
import { isUsable } from './checkpoint.js';
import type { Effect } from './effect.js';
import type { Event } from './event.js';
import { amendLastFailure, noteCheckpoints, noteFailure } from './ledger.js';
import { end } from './end.js';
import { advance, afterDelay, tryFolderAgain } from './next.js';
import type { Policy } from './policy.js';
import { chooseRollback, type RollbackChoice } from './rollback-choice.js';
import type { FailureRecord, Ledger, Next, State } from './state.js';
import type { Step } from './step.js';

type Inspecting = Extract<State, { name: 'inspecting' }>;
type Inspected = Extract<Event, { type: 'inspected' }>;

/** The checkpoint folder is known: decides what becomes of the run. */
export function afterInspection(policy: Policy, state: Inspecting, event: Inspected): Step {
  switch (state.after) {
    case 'start': {
      const ledger = noteCheckpoints(state.ledger, event.checkpoints);
      return goOn(policy, ledger, event, { type: 'launch' });
    }
    case 'backoff': {
      const ledger = noteCheckpoints(state.ledger, event.checkpoints);
      const last = ledger.failures.at(-1);
      const next: Next = last ? { type: 'check-host', after: last.kind } : { type: 'launch' };
      return goOn(policy, ledger, event, next);
    }
    case 'success':
      return conclude(state.ledger, event);
    case 'failure':
      return judgeFailure(policy, state.ledger, state.failure, event);
  }
}

/** The folder could not be looked at. A finished training is finished all the same. */
export function afterInspectionFailed(
  policy: Policy,
  state: Inspecting,
  event: Extract<Event, { type: 'inspection-failed' }>,
): Step {
  const reason = `the checkpoint folder could not be read: ${event.reason}`;
  if (state.after === 'success') {
    return end(state.ledger, { outcome: 'completed', reason: `completed; but ${reason}`, at: event.at });
  }
  if (state.after !== 'failure') return tryFolderAgain(policy, state.ledger, reason, event, event.jitter);
  const { ledger, verdict } = decide(policy, state.ledger, state.failure, event);
  if (verdict.type === 'give-up') return giveUp(ledger, verdict, event);
  return tryFolderAgain(policy, ledger, reason, event, event.jitter);
}

/** Exit 0 proves the last checkpoint. */
function conclude(ledger: Ledger, event: Inspected): Step {
  const newest = event.checkpoints.findLast((checkpoint) => isUsable(checkpoint.standing) && checkpoint.ours);
  const { state, effects } = end(noteCheckpoints(ledger, event.checkpoints), {
    outcome: 'completed',
    reason: 'completed',
    at: event.at,
  });
  const proven: Effect[] =
    newest && newest.standing !== 'safe'
      ? [{ type: 'mark', id: newest.id, standing: 'safe', why: 'the training completed with it' }]
      : [];
  return { state, effects: [...proven, ...effects] };
}

function judgeFailure(policy: Policy, before: Ledger, failure: FailureRecord, event: Inspected): Step {
  const bad = failure.badStep;
  // what was saved from a training that had gone bad is not getting further
  const sound =
    bad === undefined
      ? event.checkpoints
      : event.checkpoints.filter((c) => (c.step ?? c.number ?? Number.NEGATIVE_INFINITY) < bad);
  const { ledger, verdict } = decide(policy, noteCheckpoints(before, sound), failure, event);
  const taint: Effect[] =
    bad === undefined
      ? []
      : event.checkpoints
          .filter((c) => (c.step ?? c.number ?? Number.NEGATIVE_INFINITY) >= bad)
          .map((c) => ({ type: 'mark', id: c.id, standing: 'tainted', why: failure.reason }));
  if (verdict.type === 'give-up') {
    const step = giveUp(ledger, verdict, event);
    return { ...step, effects: [...taint, ...step.effects] };
  }
  const delayMs = backoffMs(policy.backoff, ledger.backoffs, event.jitter);
  const next: Ledger = {
    ...ledger,
    attempt: ledger.attempt + 1,
    backoffs: ledger.backoffs + 1,
    totalRetries: ledger.totalRetries + 1,
    retriesUsed: ledger.retriesUsed + (verdict.paid ? 1 : 0),
  };
  const step = goOn(policy, next, event, afterDelay(delayMs, failure.kind), bad);
  return { ...step, effects: [...taint, ...step.effects] };
}

function decide(
  policy: Policy,
  before: Ledger,
  failure: FailureRecord,
  now: Instant,
): { ledger: Ledger; verdict: Verdict } {
  const counted = noteFailure(before, failure, now);
  const verdict = judge(policy, counted, failure, now);
  const action = verdict.type === 'give-up' ? `gave up: ${verdict.words}` : verdict.words;
  return { ledger: amendLastFailure(counted, { action }), verdict };
}

function giveUp(ledger: Ledger, verdict: Verdict, now: Instant): Step {
  return end(ledger, { outcome: 'failed', reason: `gave up: ${verdict.words}`, at: now.at });
}

/** Puts the folder in order if need be, then goes on with `next`. */
function goOn(policy: Policy, ledger: Ledger, event: Inspected, next: Next, beforeStep?: number): Step {
  const choice = chooseRollback({
    checkpoints: event.checkpoints,
    guessed: event.guessed,
    rollbackEnabled: policy.rollbackEnabled,
    allowScratch: policy.allowScratch,
    everVerified: ledger.everVerified,
    ...(beforeStep !== undefined && { beforeStep }),
  });
  switch (choice.type) {
    case 'stuck':
      return end(amendLastFailure(ledger, { action: `gave up: ${choice.reason}` }), {
        outcome: 'failed',
        reason: choice.reason,
        at: event.at,
      });
    case 'keep':
      return advance(withHints(ledger, choice, beforeStep), next, choice.resume, event);
    case 'roll-back':
      return {
        state: {
          name: 'rolling-back',
          next,
          reason: choice.reason,
          ledger: withHints(ledger, choice, beforeStep),
          ...(choice.target && { target: choice.target }),
        },
        effects: [
          {
            type: 'roll-back',
            moves: choice.moves,
            reason: choice.reason,
            ...(choice.target && { target: choice.target.id }),
          },
        ],
      };
  }
}

/** After a numeric failure a script may want to skip the data that led to it. */
function withHints(ledger: Ledger, choice: RollbackChoice, failStep: number | undefined): Ledger {
  if (failStep === undefined) return ledger;
  const target =
    choice.type === 'keep' ? choice.resume : choice.type === 'roll-back' ? choice.target : undefined;
  const from = target?.step ?? target?.number;
  return {
    ...ledger,
    hints: { failStep, skipToStep: failStep, ...(from !== undefined && { skipFromStep: from }) },
  };
}
