import type { Instant } from '../progress/types.js';
import { type CheckpointFact, isFurther, isNewerOnly, isUsable } from './checkpoint.js';
import type { ProgressSummary } from './event.js';
import type { FailureRecord, Ledger, Poisoned } from './state.js';
import { learn } from './timing.js';

/** An attempt that lives shorter has hardly trained, ms. */
const shortLifeMs = 10 * 60_000;

/** Kept in the state; the journal has all. */
const failuresKept = 50;

/** A run that has done nothing yet. */
export const newLedger = (): Ledger => ({
  attempt: 0,
  launched: 0,
  bootId: '',
  retriesUsed: 0,
  totalRetries: 0,
  totalFailures: 0,
  backoffs: 0,
  everVerified: false,
  freePreemptions: 0,
  timing: { everProgressed: false, longestPhaseMs: {} },
  failures: [],
  lastRecovery: null,
  tally: { startedAt: 0, trainedMs: 0, lostMs: 0, lostSteps: 0 },
});

/**
 * The same run started anew by a person after it ended: next attempt number, fresh budgets, repeats forgotten; what
 * was learned about timing is kept, and so is the knowledge that there were good checkpoints. How far is far is
 * measured anew from what the folder holds, since a person may have rolled back, or started something else.
 */
export function startAfresh(ledger: Ledger, at: number): Ledger {
  return {
    ...newLedger(),
    attempt: nextAttempt(ledger),
    timing: ledger.timing,
    everVerified: ledger.everVerified,
    tally: { ...newLedger().tally, startedAt: at },
    ...(ledger.lastLaunched !== undefined && { lastLaunched: ledger.lastLaunched }),
    ...(ledger.poisoned && { poisoned: ledger.poisoned }),
    ...(ledger.code && { code: ledger.code }),
    ...(ledger.deeper && { deeper: ledger.deeper }),
  };
}

/** Attempts are numbered without a gap, over all starts of the run. */
export const nextAttempt = ({ lastLaunched }: Ledger): number =>
  lastLaunched === undefined ? 0 : lastLaunched + 1;

/** Takes note of the checkpoints that are there. One further than any attempt had refills the retry budget. */
export function noteCheckpoints(ledger: Ledger, checkpoints: readonly CheckpointFact[]): Ledger {
  // what lies in the vault only may be of another run, and was no news when it was taken
  const newest = checkpoints.findLast((checkpoint) => isUsable(checkpoint.standing) && !checkpoint.spare);
  if (!newest) return ledger;
  const { mayBeginAnew: _begun, ...rest } = ledger;
  const known: Ledger = { ...rest, everVerified: true };
  if (!isFurther(newest, ledger.furthest)) return known;
  const refilled = refill({ ...known, furthest: newest });
  const { deeper, repeat, furthest } = ledger;
  return {
    ...refilled,
    // what is measured for the first time is no proof yet of what was gone back past
    ...(!furthest && deeper && { deeper }),
    // a newer file of unknown step may be the same training begun anew
    ...(furthest && repeat?.step === undefined && repeat && isNewerOnly(newest, furthest) && { repeat }),
  };
}

/** Proven progress: the row of failures is over, and so are its backoff, its outage and its repeats. */
function refill(ledger: Ledger): Ledger {
  const { outageSince: _outage, repeat: _repeat, suspects: _right, deeper: _done, hints, ...rest } = ledger;
  const past = (rest.furthest?.step ?? 0) > (hints?.failStep ?? Number.POSITIVE_INFINITY);
  return {
    ...rest,
    ...(hints && !past && { hints }),
    retriesUsed: 0,
    backoffs: 0,
    lastRecovery: ledger.totalFailures > 0 ? 'success' : ledger.lastRecovery,
  };
}

/** Adds a failure, and counts how often the same one happened at the same step without getting further. */
export function noteFailure(ledger: Ledger, failure: FailureRecord, now: Instant): Ledger {
  const { outageSince, repeat: last, ...rest } = ledger;
  // without a step only a life of minutes tells a loop from a training that goes on
  const comparable = failure.step !== undefined || (failure.lastedMs ?? Infinity) < shortLifeMs;
  const same =
    failure.fingerprint !== undefined &&
    comparable &&
    last?.fingerprint === failure.fingerprint &&
    last.step === failure.step;
  const repeat =
    failure.fingerprint === undefined
      ? undefined
      : {
          fingerprint: failure.fingerprint,
          count: same ? last.count + 1 : 1,
          ...(failure.step !== undefined && { step: failure.step }),
        };
  const outage = isOutage(failure, ledger.timing.everProgressed);
  return {
    ...rest,
    totalFailures: ledger.totalFailures + 1,
    failures: [...ledger.failures, failure].slice(-failuresKept),
    ...(repeat && { repeat }),
    ...(outage && { outageSince: outageSince ?? { at: now.at, mono: now.mono } }),
  };
}

/**
 * Failures of the surroundings, which pass: they do not use the budget within the outage window. What cannot be run or
 * imported belongs to them once an attempt has shown that it can (a file system that is away looks like that).
 */
export function isOutage(
  { kind, loading }: Pick<FailureRecord, 'kind' | 'loading'>,
  everProgressed: boolean,
): boolean {
  if (loading === 'misfit') return false;
  if (kind === 'command' || kind === 'config' || kind === 'code') return everProgressed;
  // a GPU that no attempt ever trained on is missing rather than away
  if (kind === 'gpu') return everProgressed;
  return kind === 'storage' || kind === 'network' || kind === 'host-memory';
}

/** The failure that no attempt has been launched after yet. */
export function openFailure(ledger: Ledger): FailureRecord | undefined {
  const last = ledger.failures.at(-1);
  return last?.attempt === ledger.lastLaunched ? last : undefined;
}

/** Changes the open failure: what was decided about it, and where it went back to. */
export function amendFailure(ledger: Ledger, change: Partial<FailureRecord>): Ledger {
  const open = openFailure(ledger);
  if (!open) return ledger;
  return { ...ledger, failures: [...ledger.failures.slice(0, -1), { ...open, ...change }] };
}

/** The run ends although its training had gone bad: what that saved is remembered. */
export function notePoison(ledger: Ledger, { kind, reason, badStep, badAt }: Poisoned): Ledger {
  if (badStep === undefined && badAt === undefined) return ledger;
  const where = { ...(badStep !== undefined && { badStep }), ...(badAt !== undefined && { badAt }) };
  return { ...ledger, poisoned: { kind, reason, ...where } };
}

/** What stands against the newest checkpoints: the open failure, or what was bad when the run was stopped. */
export const openCharge = (ledger: Ledger): Poisoned | undefined => openFailure(ledger) ?? ledger.poisoned;

/** The next attempt after the open failure goes on from this checkpoint. */
export function noteTarget(ledger: Ledger, target: CheckpointFact | undefined): Ledger {
  if (!target) return ledger;
  const step = target.step ?? target.number;
  return amendFailure(ledger, { rolledBackTo: { id: target.id, ...(step !== undefined && { step }) } });
}

/**
 * A supervisor began on this boot. Monotonic times of another boot are moved so that as much time has passed since them
 * now as the wall clock says; within a boot the wall clock may jump as it likes.
 */
export function bootedAt(ledger: Ledger, now: Instant & { readonly bootId: string }): Ledger {
  const { outageSince, folderAwaySince } = ledger;
  if (ledger.bootId === now.bootId) return ledger;
  const moved = ({ at }: Instant): Instant => ({ at, mono: now.mono - Math.max(0, now.at - at) });
  return {
    ...ledger,
    bootId: now.bootId,
    ...(outageSince && { outageSince: moved(outageSince) }),
    ...(folderAwaySince && { folderAwaySince: moved(folderAwaySince) }),
  };
}

/** The checkpoint folder is in order again. */
export function folderIsBack(ledger: Ledger): Ledger {
  const { folderAwaySince: _over, ...rest } = ledger;
  return rest;
}

/**
 * The attempt's first progress: what its predecessor did beyond the point where this one began is done again, so it was
 * lost. It began at the checkpoint it resumed from, unless its steps say otherwise; not every step may be reported.
 */
export function noteFirstProgress(
  ledger: Ledger,
  summary: ProgressSummary,
  resume: CheckpointFact | undefined,
): Ledger {
  const timing = { ...ledger.timing, everProgressed: true };
  const last = ledger.lastAttempt;
  if (last?.lastStep === undefined || summary.firstStep === undefined) return { ...ledger, timing };
  const resumed = resume?.step ?? resume?.number;
  const began = resumed !== undefined && resumed < summary.firstStep ? resumed : summary.firstStep - 1;
  const lostSteps = Math.max(0, last.lastStep - began);
  const steps = last.firstStep === undefined ? 0 : last.lastStep - last.firstStep + 1;
  const lostMs = steps > 0 ? ((last.trainMs ?? 0) * Math.min(lostSteps, steps)) / steps : 0;
  const { lastAttempt: _counted, ...rest } = ledger;
  return {
    ...rest,
    timing,
    tally: {
      ...ledger.tally,
      lostSteps: ledger.tally.lostSteps + lostSteps,
      lostMs: ledger.tally.lostMs + lostMs,
    },
  };
}

/** A low step does not tell any more that the training began anew. */
export const noteRestartingSteps = (ledger: Ledger): Ledger => ({
  ...ledger,
  timing: { ...ledger.timing, stepsRestart: true },
});

/** An attempt is over: its times are learned, its training time is counted. */
export function noteAttempt(
  before: Ledger,
  summary: ProgressSummary,
  resume: CheckpointFact | undefined,
): Ledger {
  const progressed = summary.startMs !== undefined;
  // it may have ended before its first progress was told, or while nobody watched
  const ledger = progressed ? noteFirstProgress(before, summary, resume) : before;
  return {
    ...ledger,
    timing: learn(ledger.timing, summary, resume),
    freePreemptions: progressed ? 0 : ledger.freePreemptions,
    // an attempt that made no step leaves the question of what was lost to the next one that does
    ...(summary.lastStep === undefined ? {} : { lastAttempt: asJson(summary) }),
    tally: { ...ledger.tally, trainedMs: ledger.tally.trainedMs + (summary.trainMs ?? 0) },
  };
}

/** A loss that is NaN is no JSON. */
function asJson({ loss, ...summary }: ProgressSummary): ProgressSummary {
  return loss !== undefined && Number.isFinite(loss) ? { ...summary, loss } : summary;
}
