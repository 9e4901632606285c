import type { FailureRule } from '../policy/policy.js';
import { cannotRun, fromExit, notStarted } from './from-exit.js';
import { fromException, fromLines, fromScheduler } from './from-log.js';
import { withKernel } from './kernel.js';
import { toldDeath, type ToldDeath } from './launcher.js';
import { type LogLines, toLines } from './log-lines.js';
import { type FindPattern, matchRule } from './rules.js';
import type { Autopsy, Evidence, Failure } from './types.js';

/**
 * Says how an attempt ended: the user's rules first, then the exit status, then what the logs' ends show. Precision goes
 * before recall: exit 0 is success whatever a log says, and an exception that was printed long before the end, or
 * beside another exit status than Python's own, is no cause. For an attempt that trainguard itself stopped see
 * `failureOfStop`.
 *
 * Nothing is read and nothing is thrown: all that it looks at is in `autopsy`.
 * @param rules go before the table, the first that matches decides
 * @param find finds the rules' patterns; without it a rule with a pattern matches nothing
 * @example
 * ```ts
 * const failure = classify({
 *   exit: { type: 'signal', signal: 'SIGKILL', number: 9 },
 *   tails: [{ source: 'err.log', text: 'step 100\n' }],
 *   host: { oomKills: 1 },
 * });
 * console.log(failure.kind); // host-memory
 * ```
 */
export function classify(
  autopsy: Autopsy,
  rules: readonly FailureRule[] = [],
  find: FindPattern = nowhere,
): Failure {
  // what Python dies of stands in the error stream
  const logs = autopsy.tails
    .toSorted((a, b) => Number(isErrorStream(b.source)) - Number(isErrorStream(a.source)))
    .map(toLines);
  const failure = judge(autopsy, logs);
  const ruled = matchRule(rules, autopsy.exit, logs, find);
  if (!ruled) return failure;
  const { kind, action } = ruled.rule;
  return {
    ...failure,
    ...(kind !== undefined && { kind }),
    ...(action !== undefined && { ruled: action }),
    evidence: [...ruled.evidence, ...failure.evidence],
    confidence: 1,
  };
}

const nowhere: FindPattern = () => false;

const isErrorStream = (source: string): boolean => /\berr\b/.test(source);

function judge(autopsy: Autopsy, logs: readonly LogLines[]): Failure {
  const { exit, health, host } = autopsy;
  if (exit.type === 'code' && exit.code === 0) {
    return { kind: 'success', reason: 'the command ended with exit status 0', evidence: [], confidence: 1 };
  }
  if (exit.type === 'not-started') return notStarted(exit);
  if (exit.type === 'code' && (exit.code === 126 || exit.code === 127)) return cannotRun(exit.code, logs);
  const told = toldDeath(exit, logs);
  const real = told?.exit ?? exit;
  const found = fromScheduler(real, logs) ?? fromException(real, logs) ?? fromLines(real, logs);
  if (found && found.kind !== 'exception') return withKernel(found, host);
  if (health?.kind === 'non-finite-loss' || health?.kind === 'non-finite-grad-norm') {
    const evidence: Evidence[] = [{ text: health.reason, source: 'heartbeats' }];
    return {
      kind: 'numeric',
      reason: health.reason,
      evidence: [...evidence, ...(found?.evidence ?? [])],
      confidence: 0.8,
    };
  }
  return withKernel(found ?? asTold(fromExit(real, host, logs), told), host);
}

/** A death that only a launcher tells of: its word is the evidence. */
const asTold = (failure: Failure, told: ToldDeath | undefined): Failure =>
  told ? { ...failure, evidence: [told.evidence, ...failure.evidence], confidence: 0.8 } : failure;
