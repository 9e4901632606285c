import type { Failure } from '../failure/types.js';
import { exitStatus } from '../util/result.js';
import type { Effect } from './effect.js';
import type { HealthFinding } from '../progress/types.js';
import { formatCount } from '../util/text.js';
import { type Bad, badOf, badWords } from './bad.js';
import { unreachable } from '../util/unreachable.js';
import type { CheckpointFact } from './checkpoint.js';
import { type Event, isPreemption, type StopSource } from './event.js';
import { nextAttempt, noteAttempt, notePoison } from './ledger.js';
import { end, endedByRequest } from './end.js';
import type { FailureRecord, Ledger, State, StopCause } from './state.js';
import type { Step } from './step.js';
import type { Policy } from './policy.js';
import { failureOfStop } from './stop-failure.js';
import { graceOf, stopInspecting } from './stop.js';

type Exited = Extract<Event, { type: 'exited' }>;
type Alive = Extract<State, { name: 'starting' | 'running' | 'stopping' }>;

/** A person's Ctrl-C that reached the worker and not us. */
const interrupted = 130;

/** Preemptions in a row without progress that are free. */
const freePreemptions = 5;

/** An attempt is over. One that we stopped is judged by why we did, never by its exit status. */
export function afterExit(policy: Policy, state: Alive, event: Exited): Step {
  const judged = judgeExit(policy, state, event);
  // it was to stop at its next checkpoint, and failed before
  const { state: next } = judged;
  const failed = next.name === 'inspecting' && next.after === 'failure';
  return state.stopAtCheckpoint && failed ? stopInspecting(next, 'request', event) : judged;
}

function judgeExit(policy: Policy, state: Alive, event: Exited): Step {
  const ledger = noteAttempt(state.ledger, event.summary, state.resume);
  if (state.name === 'stopping') return afterStop(ledger, state.resume, state.cause, event);
  if (state.name === 'starting' && state.stop !== undefined)
    return afterAsked(ledger, state.resume, state.stop, event);
  if (state.name === 'running' && state.stopBegun) {
    const soon = event.mono - state.since.mono <= graceOf(policy, ledger);
    if (soon && !finishedAnyway(event)) return goOn(ledger, state.resume, event);
  }
  const { kind, ruled, reason } = event.failure;
  if (kind === 'success' && (ruled === undefined || ruled === 'ignore')) return inspectSuccess(ledger);
  if (kind === 'stopped' && ruled === undefined) {
    return end(ledger, { outcome: 'stopped', reason, at: event.at, exitCode: interrupted });
  }
  if (kind === 'preempted' && ruled === undefined) return endPreempted(ledger, event);
  const lastedMs = Math.max(0, event.mono - state.since.mono);
  return inspectFailure(ledger, event, event.failure, { resume: state.resume, lastedMs });
}

function afterStop(
  ledger: Ledger,
  resume: CheckpointFact | undefined,
  cause: StopCause,
  event: Exited,
): Step {
  switch (cause.type) {
    case 'person':
      return afterAsked(ledger, resume, cause.by, event);
    case 'preempted':
      return afterAsked(ledger, resume, 'preemption', event);
    case 'hang':
      // it went silent over its last upload, say, and finished when it was asked to stop
      if (finishedAnyway(event)) return inspectSuccess(ledger);
      return inspectFailure(ledger, event, failureOfStop(cause, event.stacks), { resume });
    case 'unhealthy':
      return inspectFailure(ledger, event, failureOfStop(cause), {
        ...{ resume, bad: badOfFinding(cause.finding) },
      });
    case 'not-resumed':
      return inspectFailure(ledger, event, failureOfStop(cause), { resume, missed: cause.from });
    default:
      return unreachable(cause);
  }
}

function afterAsked(ledger: Ledger, resume: CheckpointFact | undefined, by: StopSource, event: Exited): Step {
  if (badOf(event.summary) === undefined && finishedAnyway(event)) return inspectSuccess(ledger);
  const noted = noteBadEnd(ledger, event, resume);
  return isPreemption(by) ? endPreempted(noted, event) : endedByRequest(noted, by, event.at);
}

/** It ended of a stop that is not wanted any more: that is neither success nor failure, and costs nothing. */
function goOn(ledger: Ledger, resume: CheckpointFact | undefined, event: Exited): Step {
  const text = `attempt ${ledger.attempt} ended of the stop that its last supervisor had begun; the run goes on`;
  const next = { ...noteBadEnd(ledger, event, resume), attempt: nextAttempt(ledger) };
  return {
    state: { name: 'inspecting', after: 'backoff', ledger: next },
    effects: [{ type: 'tell', text }, { type: 'inspect' }],
  };
}

/** What a training saved while it was bad must not be resumed from, also where it was stopped for another reason. */
function noteBadEnd(ledger: Ledger, event: Exited, resume: CheckpointFact | undefined): Ledger {
  const said = badOf(event.summary);
  const bad = said && inTime(said, ledger, event, resume);
  if (!bad) return ledger;
  const reason = `the training was bad from ${badWords(bad)} on`;
  return notePoison(ledger, { kind: 'numeric', reason, ...fieldsOf(bad) });
}

const badOfFinding = ({ step, at }: HealthFinding): Bad | undefined =>
  badOf({ ...(step !== undefined && { badStep: step }), ...(at !== undefined && { badAt: at }) });

const fieldsOf = ({ step, at }: Bad): Pick<FailureRecord, 'badStep' | 'badAt'> => ({
  ...(step !== undefined && { badStep: step }),
  ...(at !== undefined && { badAt: at }),
});

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
  const idle = event.summary.startMs === undefined ? ledger.freePreemptions + 1 : 0;
  const counted = { ...ledger, freePreemptions: idle };
  if (idle < freePreemptions) return endedByRequest(counted, 'preemption', event.at);
  return end(counted, {
    outcome: 'failed',
    reason: `preempted ${formatCount(idle)} times in a row without any progress`,
    at: event.at,
    exitCode: exitStatus.failed,
  });
}

/** Steps that an attempt counted from its launch say nothing beside a checkpoint's: the time does. */
function inTime(bad: Bad, { timing }: Ledger, event: Exited, resume: CheckpointFact | undefined): Bad {
  const from = resume?.step ?? resume?.number;
  const { firstStep } = event.summary;
  const anew = from !== undefined && firstStep !== undefined && firstStep * 2 < from;
  return timing.stepsRestart === true || anew ? { at: bad.at ?? event.at } : bad;
}

/** What was saved up to the end of the attempt decides about the budget, so the folder is looked at first. */
function inspectFailure(
  ledger: Ledger,
  event: Exited,
  failure: Failure,
  known: {
    readonly resume: CheckpointFact | undefined;
    readonly lastedMs?: number;
    readonly bad?: Bad | undefined;
    readonly missed?: CheckpointFact;
  },
): Step {
  const { kind, reason, advice, evidence, fingerprint, ruled, confidence, signature, loading } = failure;
  const { resume, missed } = known;
  const { lastStep: step, trainMs } = event.summary;
  // where it went bad is not known better than that it had at its last step
  const wentBad = ruled === 'rollback' || (kind === 'numeric' && ruled === undefined);
  const atLast = step === undefined ? undefined : { step };
  const said: Bad | undefined = known.bad ?? (wentBad ? (badOf(event.summary) ?? atLast) : undefined);
  const bad = said && inTime(said, ledger, event, resume);
  const { code, codeChanged } = ledger;
  const record: FailureRecord = {
    ...{ attempt: ledger.attempt, at: event.at, kind, reason, evidence, confidence, exit: event.exit },
    ...{ action: '', quarantined: [] },
    ...(advice !== undefined && { advice }),
    ...(fingerprint !== undefined && { fingerprint }),
    ...(signature !== undefined && { signature }),
    ...(loading !== undefined && { loading }),
    ...(step !== undefined && { step }),
    ...(bad && fieldsOf(bad)),
    ...(missed && { missed }),
    ...(ruled !== undefined && { ruled }),
    ...(resume && { resumedFrom: resume }),
    ...(trainMs !== undefined && { trainMs }),
    ...(known.lastedMs !== undefined && { lastedMs: known.lastedMs }),
    // of a silence that was only warned of they say nothing about another end
    ...(event.stacks && kind === 'hang' && { stacks: event.stacks }),
    ...(code?.attempt === ledger.attempt && { code }),
    ...(code?.attempt === ledger.attempt && codeChanged !== undefined && { codeChanged }),
  };
  return {
    state: { name: 'inspecting', after: 'failure', failure: record, ledger },
    effects: [lookAfter(record)],
  };
}

/** Who stumbles before the first step may have stumbled over what it loaded, whatever it says: that is read again. */
export function lookAfter({ loading, kind, ruled, trainMs, resumedFrom }: FailureRecord): Effect {
  const early = kind === 'exception' && ruled === undefined && trainMs === undefined;
  const reread = (loading !== undefined || early) && resumedFrom;
  return { type: 'inspect', ...(reread && { reread: reread.path }) };
}
