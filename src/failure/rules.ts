import type { FailureRule } from '../policy/policy.js';
import { type LogLines, lineEvidence } from './log-lines.js';
import { deathOf } from './signals.js';
import type { Evidence, Exit } from './types.js';

/**
 * Whether a rule's pattern is found in a line. Injected, since a user's pattern needs an engine that takes linear time
 * whatever it says, and this is pure.
 */
export type FindPattern = (pattern: string, line: string) => boolean;

/** A user's rule that matched, and the line its pattern was found in. */
export interface RuleMatch {
  readonly rule: FailureRule;
  readonly evidence: readonly Evidence[];
}

/**
 * The first of the user's rules that matches. All that a rule names must hold; exit codes and signals are alternatives.
 * An exit of 0 is matched only by a rule that names 0.
 */
export function matchRule(
  rules: readonly FailureRule[],
  exit: Exit,
  logs: readonly LogLines[],
  find: FindPattern,
): RuleMatch | undefined {
  for (const rule of rules) {
    const { exitCodes, signals, pattern } = rule.match;
    const byExit = exitCodes !== undefined || signals !== undefined;
    if (!byExit && (pattern === undefined || isSuccess(exit))) continue;
    if (byExit && !matchesExit(rule, exit)) continue;
    if (pattern === undefined) return { rule, evidence: [] };
    const evidence = findLast(logs, (line) => find(pattern, line));
    if (evidence) return { rule, evidence: [evidence] };
  }
  return undefined;
}

const isSuccess = (exit: Exit): boolean => exit.type === 'code' && exit.code === 0;

function matchesExit({ match }: FailureRule, exit: Exit): boolean {
  if (exit.type === 'code' && match.exitCodes?.includes(exit.code)) return true;
  const signal = deathOf(exit)?.signal;
  return signal !== undefined && (match.signals?.includes(signal) ?? false);
}

function findLast(logs: readonly LogLines[], matches: (line: string) => boolean): Evidence | undefined {
  for (const log of logs) {
    const index = log.lines.findLastIndex(matches);
    if (index !== -1) return lineEvidence(log, index);
  }
  return undefined;
}
