import type { FailureRule } from '../policy/policy.js';
import { type LogLines, lineEvidence } from './log-lines.js';
import { deathOf } from './signals.js';
import type { Evidence, Exit } from './types.js';

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
): RuleMatch | undefined {
  for (const rule of rules) {
    const { exitCodes, signals, pattern } = rule.match;
    const byExit = exitCodes !== undefined || signals !== undefined;
    if (!byExit && (pattern === undefined || isSuccess(exit))) continue;
    if (byExit && !matchesExit(rule, exit)) continue;
    if (pattern === undefined) return { rule, evidence: [] };
    const evidence = findLast(pattern, logs);
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

function findLast(source: string, logs: readonly LogLines[]): Evidence | undefined {
  const pattern = compile(source);
  if (!pattern) return undefined;
  for (const log of logs) {
    const index = log.lines.findLastIndex((line) => pattern.test(line));
    if (index !== -1) return lineEvidence(log, index);
  }
  return undefined;
}

function compile(source: string): RegExp | undefined {
  try {
    return new RegExp(source);
  } catch {
    // the configuration refuses such a pattern; one that got here all the same matches nothing
    return undefined;
  }
}
