import { type LogLines, lineEvidence } from './log-lines.js';
import { signalName, signalNumber } from './signals.js';
import type { Evidence, Exit } from './types.js';

// torchrun, accelerate and their like end with a status of their own; how the process they started ended they only say.

/** A death by signal that a launcher tells of. */
export interface ToldDeath {
  readonly exit: Extract<Exit, { type: 'signal' }>;
  readonly evidence: Evidence;
}

/** Lines from the end in which a launcher's report stands: torchrun's lists every rank in eight lines. */
const mostLines = 1000;
const rootCause = /^Root Cause \(first observed failure\):$/;
const exitCode = /^ {2}exitcode {1,8}: (-?\d{1,5})\b/;
/** Only the lines behind these words belong to the root cause. */
const mostBelow = 8;
const terminated = 15;

interface Saying {
  readonly pattern: RegExp;
  /** A line that must be there too: programs of any sort start others that may die. */
  readonly also?: RegExp;
}

const sayings: readonly Saying[] = [
  {
    pattern:
      /^subprocess\.CalledProcessError: .{0,4000} died with <Signals\.SIG[A-Z0-9]{1,10}: (\d{1,2})>\.$/,
    also: /, in \w{1,40}_launcher$/,
  },
  { pattern: /ProcessExitedException: process \d{1,6} terminated with signal (SIG[A-Z0-9]{1,10})$/ },
  { pattern: /\bexits with return code = -(\d{1,2})$/ },
  { pattern: /\.SignalException: Process \d{1,10} got signal: (\d{1,2})$/ },
];
/** Lines from the end in which they stand. */
const lastWords = 20;

/** The signal that ended a process of a launcher, or the launcher itself, where it ended with a status of its own. */
export function toldDeath(exit: Exit, logs: readonly LogLines[]): ToldDeath | undefined {
  if (exit.type !== 'code' || exit.code > 128) return undefined;
  for (const log of logs) {
    const found = rootCauseOf(log) ?? saidIn(log);
    if (found) return found;
  }
  return undefined;
}

/** What torchrun calls the first failure. SIGTERM is what it sends to the rest, so it is a cause only alone. */
function rootCauseOf(log: LogLines): ToldDeath | undefined {
  const from = Math.max(0, log.lines.length - mostLines);
  const last = log.lines.slice(from);
  const title = last.findLastIndex((line) => rootCause.test(line));
  if (title === -1) return undefined;
  const below = last.slice(title, title + mostBelow).findIndex((line) => exitCode.test(line));
  if (below === -1) return undefined;
  const status = statusIn(last[title + below] ?? '');
  const othersFailed = last.slice(0, title).some((line) => exitCode.test(line) && statusIn(line) > 0);
  if (status >= 0 || (status === -terminated && othersFailed)) return undefined;
  return deathBy(-status, lineEvidence(log, from + title + below));
}

const statusIn = (line: string): number => Number(exitCode.exec(line)?.[1] ?? 0);

function saidIn(log: LogLines): ToldDeath | undefined {
  const from = Math.max(0, log.lines.length - lastWords);
  const last = log.lines.slice(from);
  for (const { pattern, also } of sayings) {
    const index = last.findLastIndex((line) => pattern.test(line));
    const said = pattern.exec(last[index] ?? '')?.[1];
    if (said === undefined || (also && !last.some((line) => also.test(line)))) continue;
    return deathBy(said, lineEvidence(log, from + index));
  }
  return undefined;
}

function deathBy(said: string | number, evidence: Evidence): ToldDeath {
  const isName = typeof said === 'string' && said.startsWith('SIG');
  const signal = isName ? said : signalName(Number(said));
  return { exit: { type: 'signal', signal, number: isName ? signalNumber(said) : Number(said) }, evidence };
}
