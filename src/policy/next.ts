import type { FailureKind } from '../failure/types.js';
import type { Instant } from '../progress/types.js';
import { unreachable } from '../util/unreachable.js';
import { backoffMs } from './backoff.js';
import type { CheckpointFact } from './checkpoint.js';
import { end, endedByRequest } from './end.js';
import type { Event } from './event.js';
import { amendFailure, folderIsBack, openFailure, noteTarget } from './ledger.js';
import type { Policy } from './policy.js';
import type { Ledger, Next, State } from './state.js';
import type { Step } from './step.js';

/** Starts the attempt that the ledger names. */
export function launch(ledger: Ledger, resume: CheckpointFact | undefined, now: Instant): Step {
  const { poisoned: _over, ...sound } = ledger;
  const counted = { ...sound, launched: ledger.launched + 1, lastLaunched: ledger.attempt };
  const last = ledger.failures.at(-1);
  const step = resume?.step ?? resume?.number;
  return {
    state: {
      name: 'starting',
      since: { at: now.at, mono: now.mono },
      ledger: counted,
      ...(resume && { resume }),
    },
    effects: [
      {
        type: 'launch',
        attempt: ledger.attempt,
        ...(resume && { resume: { path: resume.path, ...(step !== undefined && { step }) } }),
        ...(last && { lastFailure: last.kind }),
        ...(ledger.hints && { hints: ledger.hints }),
        ...(ledger.env && { env: ledger.env }),
      },
    ],
  };
}

/** Goes on once the checkpoint folder is in order. */
export function advance(ledger: Ledger, next: Next, resume: CheckpointFact | undefined, now: Instant): Step {
  const from = resume && { resume };
  const instant = { at: now.at, mono: now.mono };
  switch (next.type) {
    case 'launch':
      return launch(ledger, resume, now);
    case 'check-host':
      return {
        state: { name: 'waiting', since: instant, ledger, ...from },
        effects: [{ type: 'check-host', after: next.after }],
      };
    case 'back-off':
      return {
        state: {
          name: 'backing-off',
          delayMs: next.delayMs,
          until: { at: now.at + next.delayMs, mono: now.mono + next.delayMs },
          ledger,
          ...from,
        },
        effects: [{ type: 'wait', delayMs: next.delayMs }],
      };
    case 'give-up':
      return giveUp(ledger, next.why, now);
    default:
      return unreachable(next);
  }
}

/** The ledger after a rollback past a suspect, done or perhaps done: what was not is not undone either. */
export function noteDeeper(
  { ledger, deeper, target }: Extract<State, { name: 'rolling-back' }>,
  at: number,
): Ledger {
  if (deeper === undefined || ledger.deeper?.some(({ tx }) => tx === deeper)) return ledger;
  const one = { tx: deeper, at, ...(target && { target: target.path }) };
  return { ...ledger, deeper: [...(ledger.deeper ?? []), one] };
}

export function rolledBack(
  state: Extract<State, { name: 'rolling-back' }>,
  event: Extract<Event, { type: 'rolled-back' }>,
): Step {
  const { target, next, stop } = state;
  const ledger = amendFailure(noteTarget(folderIsBack(state.ledger), target), {
    quarantined: [...(openFailure(state.ledger)?.quarantined ?? []), ...event.quarantined],
  });
  const { veto } = event;
  const noted = noteDeeper({ ...state, ledger }, event.at);
  if (stop !== undefined) return endedByRequest(noted, stop, event.at);
  if (veto !== undefined && next.type !== 'give-up') return giveUp(noted, veto, event);
  return advance(noted, next, target, event);
}

/** The disk would not do it. What was begun is finished forward at the next try; until then nothing is launched. */
export function rollbackFailed(
  policy: Policy,
  state: Extract<State, { name: 'rolling-back' }>,
  event: Extract<Event, { type: 'rollback-failed' }>,
): Step {
  const ledger = noteDeeper(state, event.at);
  if (state.stop !== undefined) return endedByRequest(ledger, state.stop, event.at);
  // nothing is launched after it: the next start of the run finishes it
  if (state.next.type === 'give-up')
    return giveUp(ledger, `${state.next.why}; and the rollback failed: ${event.reason}`, event);
  if (event.permanent) return giveUp(ledger, event.reason, event);
  return tryFolderAgain(policy, ledger, `the rollback failed: ${event.reason}`, event, 0.5);
}

/** The checkpoint folder could not be read or changed: waits, within the outage window, and looks again. */
export function tryFolderAgain(
  policy: Policy,
  ledger: Ledger,
  reason: string,
  now: Instant,
  jitter: number,
): Step {
  const folderAwaySince = ledger.folderAwaySince ?? { at: now.at, mono: now.mono };
  if (now.mono - folderAwaySince.mono > policy.outageWindowMs) return giveUp(ledger, reason, now);
  // never in a hot loop, even under a zero backoff
  const delayMs = Math.max(1000, backoffMs(policy.backoff, ledger.backoffs, jitter));
  const counted = { ...ledger, folderAwaySince, backoffs: ledger.backoffs + 1 };
  return advance(counted, { type: 'back-off', delayMs }, undefined, now);
}

/** Ends the run as failed, and says so of the failure that led there; what deeper rollbacks moved is put back first. */
export function giveUp(ledger: Ledger, why: string, now: Instant): Step {
  const noted = amendFailure(ledger, { action: `gave up: ${why}` });
  const { deeper, ...rest } = noted;
  if (!deeper || deeper.length === 0) return failed(noted, why, now);
  const order = { transactions: deeper.toReversed() };
  return { state: { name: 'putting-back', why, order, ledger: rest }, effects: [{ type: 'undo', ...order }] };
}

const failed = (ledger: Ledger, why: string, now: Instant): Step =>
  end(ledger, { outcome: 'failed', reason: `gave up: ${why}`, at: now.at });

/** What follows a delay: zero means at once, by way of a look at the host. */
export const afterDelay = (delayMs: number, after: FailureKind): Next =>
  delayMs > 0 ? { type: 'back-off', delayMs } : { type: 'check-host', after };

/** What deeper rollbacks had moved is where it was, or as nearly as can be: now the run ends. */
export const undone = (
  { ledger, why }: Extract<State, { name: 'putting-back' }>,
  { left, at, mono }: Extract<Event, { type: 'undone' }>,
): Step => failed(ledger, left === undefined ? why : `${why}; and ${left}`, { at, mono });
