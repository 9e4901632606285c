import type { Instant } from '../progress/types.js';
import { backoffMs } from './backoff.js';
import { badOf, isBefore } from './bad.js';
import { isOfTheProgram, judge, type Verdict } from './budget.js';
import { type CheckpointFact, isSameCheckpoint, isUsable } from './checkpoint.js';
import type { Effect } from './effect.js';
import type { Event } from './event.js';
import {
  amendFailure,
  folderIsBack,
  nextAttempt,
  noteCheckpoints,
  noteFailure,
  openCharge,
  openFailure,
  noteTarget,
} from './ledger.js';
import { end } from './end.js';
import { advance, afterDelay, giveUp, tryFolderAgain } from './next.js';
import { undoSaves } from './not-resumed.js';
import { settleLoading } from './loading.js';
import type { Policy } from './policy.js';
import { chooseRollback, type RollbackChoice } from './rollback-choice.js';
import type { FailureRecord, Ledger, Next, Poisoned, State, Suspect } from './state.js';
import type { Step } from './step.js';
import { suspicion, withSuspects } from './suspicion.js';

type Inspecting = Extract<State, { name: 'inspecting' }>;
type Inspected = Extract<Event, { type: 'inspected' }>;

/** The checkpoint folder is known: decides what becomes of the run. */
export function afterInspection(policy: Policy, state: Inspecting, event: Inspected): Step {
  switch (state.after) {
    case 'start':
    case 'backoff': {
      const open = openFailure(state.ledger);
      const ledger = noteCheckpoints(state.ledger, sound(event.checkpoints, openCharge(state.ledger)));
      const checked = state.after === 'backoff' && open !== undefined;
      // an attempt that cannot save is time lost: it waits as after a failure of the disk
      const unchecked: Next = event.lacks === undefined ? { type: 'launch' } : { type: 'check-host', after: 'storage' }; // prettier-ignore
      return goOn(policy, ledger, event, checked ? { type: 'check-host', after: open.kind } : unchecked);
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
  if (verdict.type === 'give-up') return giveUp(ledger, verdict.words, event);
  return tryFolderAgain(policy, countRetry(ledger, verdict), reason, event, event.jitter);
}

/** Exit 0 proves the last checkpoint. */
function conclude(ledger: Ledger, event: Inspected): Step {
  const newest = event.checkpoints.findLast(
    (checkpoint) => isUsable(checkpoint.standing) && checkpoint.ours && !checkpoint.spare,
  );
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

function judgeFailure(policy: Policy, before: Ledger, failed: FailureRecord, event: Inspected): Step {
  const failure = settleLoading(failed, event);
  const further = noteCheckpoints(before, sound(event.checkpoints, failure));
  const { ledger, verdict } = decide(policy, further, failure, event, event.veto);
  if (verdict.type === 'give-up') {
    const { state, effects } = failure.missed
      ? undoSaves(policy, ledger, failure.missed, event, verdict.words)
      : giveUp(ledger, verdict.words, event);
    return { state, effects: [...taint(event.checkpoints, failure), ...effects] };
  }
  const delayMs = backoffMs(policy.backoff, ledger.backoffs, event.jitter);
  const suspect = suspicion(policy, ledger, failure);
  const next = { ...countRetry(ledger, verdict), backoffs: ledger.backoffs + 1 };
  const after = afterDelay(delayMs, failure.kind);
  return goOn(policy, suspect ? doubt(policy, next, event, suspect) : next, event, after);
}

/** The ledger with a suspect more, if that is what would be resumed from, and something else is left. */
function doubt(policy: Policy, ledger: Ledger, event: Inspected, suspect: Suspect): Ledger {
  const target = targetOf(choose(policy, ledger, event));
  if (!target || !isSameCheckpoint(target, suspect)) return ledger;
  const doubting = { ...ledger, suspects: [...(ledger.suspects ?? []), suspect] };
  const choice = choose(policy, doubting, event);
  return choice.type === 'roll-back' && choice.target ? doubting : ledger;
}

function decide(
  policy: Policy,
  before: Ledger,
  failure: FailureRecord,
  now: Instant,
  veto?: string,
): { ledger: Ledger; verdict: Verdict } {
  const counted = noteFailure(before, failure, now);
  const verdict = judge(policy, counted, failure, now, veto);
  const action = verdict.type === 'give-up' ? `gave up: ${verdict.words}` : verdict.words;
  // what to mend in a program is no advice where it has worked before
  const away = verdict.type === 'retry' && !verdict.paid && isOfTheProgram(failure.kind);
  const advice = away && failure.ruled === undefined ? { advice: comesBack } : {};
  return { ledger: amendFailure(counted, { action, ...advice }), verdict };
}

/** What to do about a program that worked before. */
const comesBack =
  'look whether its files, their storage or the environment are away; nothing has to be done if they come back';

const countRetry = (ledger: Ledger, verdict: Extract<Verdict, { type: 'retry' }>): Ledger => ({
  ...ledger,
  attempt: nextAttempt(ledger),
  totalRetries: ledger.totalRetries + 1,
  retriesUsed: ledger.retriesUsed + (verdict.paid ? 1 : 0),
});

/** What was saved from a training that had gone bad is not getting further; where nobody knows when it had, nothing is. */
function sound(
  checkpoints: readonly CheckpointFact[],
  failure: Poisoned | undefined,
): readonly CheckpointFact[] {
  const bad = badOf(failure);
  if (bad) return checkpoints.filter((checkpoint) => isBefore(checkpoint, bad) !== false);
  return failure?.kind === 'numeric' || failure?.kind === 'not-resumed' ? [] : checkpoints;
}

function taint(checkpoints: readonly CheckpointFact[], failure: Poisoned | undefined): readonly Effect[] {
  const bad = badOf(failure);
  if (!bad) return [];
  return checkpoints
    .filter((checkpoint) => isBefore(checkpoint, bad) === false && checkpoint.standing !== 'tainted')
    .map(({ id }) => ({ type: 'mark', id, standing: 'tainted', why: failure?.reason ?? '' }));
}

/** Puts the folder in order if need be, then goes on with `next`. */
function goOn(policy: Policy, ledger: Ledger, event: Inspected, next: Next): Step {
  const charge = openCharge(ledger);
  const step = putInOrder(policy, ledger, event, next);
  return { state: step.state, effects: [...taint(event.checkpoints, charge), ...step.effects] };
}

function choose(policy: Policy, ledger: Ledger, event: Inspected): RollbackChoice {
  const bad = badOf(openCharge(ledger));
  return chooseRollback({
    checkpoints: withSuspects(event.checkpoints, ledger.suspects),
    guessed: event.guessed,
    rollbackEnabled: policy.rollbackEnabled,
    allowScratch: policy.allowScratch,
    everVerified: ledger.everVerified,
    mayBeginAnew: ledger.mayBeginAnew ?? false,
    ...(bad && { bad }),
    ...(event.disorder !== undefined && { disorder: event.disorder }),
  });
}

function putInOrder(policy: Policy, ledger: Ledger, event: Inspected, next: Next): Step {
  const choice = choose(policy, ledger, event);
  const failStep = openCharge(ledger)?.badStep;
  switch (choice.type) {
    case 'stuck':
      return giveUp(ledger, choice.reason, event);
    case 'keep': {
      const ordered = folderIsBack(noteTarget(withHints(ledger, choice, failStep), choice.resume));
      const { state, effects } = advance(ordered, next, choice.resume, event);
      const told: Effect[] = choice.note === undefined ? [] : [{ type: 'tell', text: choice.note }];
      return { state, effects: [...told, ...effects] };
    }
    case 'roll-back': {
      const seen = withSuspects(event.checkpoints, ledger.suspects);
      const deeper = seen.some(({ id, standing }) => standing === 'suspect' && choice.moves.includes(id));
      const tx = deeper ? transactionAt(event.at, ledger.attempt) : undefined;
      return {
        state: {
          name: 'rolling-back',
          next,
          reason: choice.reason,
          ledger: withHints(ledger, choice, failStep),
          ...(choice.target && { target: choice.target }),
          ...(tx !== undefined && { deeper: tx }),
        },
        effects: [
          {
            type: 'roll-back',
            moves: choice.moves,
            reason: choice.reason,
            ...(choice.target && { target: choice.target.id }),
            ...(tx !== undefined && { tx }),
          },
        ],
      };
    }
  }
}

/** After a numeric failure a script may want to skip the data that led to it. */
function withHints(ledger: Ledger, choice: RollbackChoice, failStep: number | undefined): Ledger {
  if (failStep === undefined) return ledger;
  const target = targetOf(choice);
  const from = target?.step ?? target?.number;
  return {
    ...ledger,
    hints: { failStep, skipToStep: failStep, ...(from !== undefined && { skipFromStep: from }) },
  };
}

/** What the next attempt resumes from. */
const targetOf = (choice: RollbackChoice): CheckpointFact | undefined =>
  choice.type === 'keep' ? choice.resume : choice.type === 'roll-back' ? choice.target : undefined;

/** A name as the store gives them: the time, and something that tells it from others. */
const transactionAt = (at: number, attempt: number): string =>
  `${new Date(at).toISOString().replace(/[-:.]/g, '')}-${attempt.toString(16).padStart(8, '0')}`;
