import { resolvePolicy } from '../config/resolve.js';
import { backoffMs } from '../policy/backoff.js';
import { judge, type Verdict } from '../policy/budget.js';
import { newLedger, noteFailure } from '../policy/ledger.js';
import type { Policy } from '../policy/policy.js';
import type { FailureRecord, Ledger } from '../policy/state.js';
import { classifyReport } from './classify-report.js';
import type { DecisionRequest, PastFailure, RecoveryDecision, RecoveryFailure, RecoveryRule } from './decision.js'; // prettier-ignore
import { recoveryRules } from './strategies.js';

/**
 * What is to be done about an error: by the same table and the same rules as the command's. Pure: the same request
 * gives the same decision.
 *
 * `maxRetries` bounds the failures since the last `cured` one; of an exception, a lack of memory or a fault of native code that comes
 * back at the same step three times (two for a GPU's memory) it is said that a restart does not cure it. Outages of
 * network and storage use the budget like everything else: who waits for longer sets `maxRetries` and `backoff`.
 */
export function decideRecovery(request: DecisionRequest): RecoveryDecision {
  return decideFailure(classifyReport(request.error), request);
}

/** The same for an error that was classified already. */
export function decideFailure(
  failure: RecoveryFailure,
  request: Omit<DecisionRequest, 'error'>,
): RecoveryDecision {
  const { kind } = failure;
  const said = request.rules?.[kind];
  const rule: RecoveryRule = { ...recoveryRules[kind], ...said };
  const verdict = withinBudget(verdictOn(failure, request, said?.retry), request);
  const why =
    verdict.type === 'retry' && !rule.retry ? 'it was stopped on purpose, and stays stopped' : verdict.words;
  const retry = verdict.type === 'retry' && rule.retry;
  const { backoff, jitter } = request;
  return {
    ...failure,
    retry,
    rollback: retry && request.rollbackEnabled && rule.rollback,
    delayMs: retry ? backoffMs(backoff, retriesOf(request.history), jitter) : 0,
    why,
  };
}

/** The command counts failures in a row; here it is the retries that were used. */
function withinBudget(
  verdict: Verdict,
  { history, maxRetries }: Pick<DecisionRequest, 'history' | 'maxRetries'>,
): Verdict {
  if (verdict.type === 'give-up') return verdict;
  const used = retriesOf(history);
  if (used < maxRetries) return { ...verdict, words: `retry ${used + 1} of ${maxRetries}` };
  const words =
    maxRetries === 0
      ? 'no retries were asked for (maxRetries 0)'
      : `retries used up: ${maxRetries} of ${maxRetries}`;
  return { type: 'give-up', words };
}

/** The failures since the last one that the training got past: each was followed by a retry. */
const retriesOf = (history: readonly PastFailure[]): number =>
  history.length - 1 - history.findLastIndex(({ cured }) => cured === true);

/** @param told what the user says of the kind, if anything */
function verdictOn(
  { kind, fingerprint, reason }: RecoveryFailure,
  { step, history, rollbackEnabled }: Omit<DecisionRequest, 'error'>,
  told: boolean | undefined,
): Verdict {
  const policy: Policy = {
    ...resolvePolicy({}),
    ...{ maxRetries: Infinity, rollbackEnabled },
    // nothing is free here: who called waits for an answer
    outageWindowMs: -1,
  };
  const record: FailureRecord = {
    ...recordOf({
      kind,
      ...(fingerprint !== undefined && { fingerprint }),
      ...(step !== undefined && { step }),
    }),
    reason,
    ...(told !== undefined && { ruled: told ? 'retry' : 'fail' }),
  };
  const ledger = [...history.map(recordOf), record].reduce<Ledger>(
    (before, one) => noteFailure(before, one, start),
    newLedger(),
  );
  return judge(policy, ledger, record, start);
}

const start = { at: 0, mono: 0 };

/** As the command's policy remembers a failure. */
const recordOf = ({ kind, fingerprint, step }: PastFailure): FailureRecord => ({
  ...{ attempt: 0, at: 0, reason: '', evidence: [], exit: { type: 'unknown' }, action: '', quarantined: [] },
  // to the policy a training that does not converge is one whose numbers are bad
  kind: kind === 'convergence' ? 'numeric' : kind,
  ...(fingerprint !== undefined && { fingerprint }),
  ...(step !== undefined && { step }),
});
