import { hasFrame, loadsCheckpoint, readsData } from './loading.js';
import { type LogLines, lineEvidence } from './log-lines.js';
import { signatures } from './signatures.js';
import type { Signature } from './signatures/signature.js';
import type { PythonError } from './traceback.js';
import type { Evidence, Exit, HostFacts } from './types.js';

/** How many lines from the end of a log the words of a dying program are looked for. */
const lastWords = 50;
/** A message's beginning says what happened, characters. */
const longestMessage = 8192;

export interface Found {
  readonly signature: Signature;
  readonly evidence: Evidence;
}

/** The first signature that the exception, or a cause of it that counts, bears. */
export function matchException(error: PythonError, exit: Exit): Signature | undefined {
  return signatures.find((signature) => bears(signature, error, exit));
}

/** Whether an exception bears one signature. */
export function bears(signature: Signature, error: PythonError, exit: Exit): boolean {
  if (signature.where !== 'exception' || !allowsExit(signature, exit)) return false;
  if (isBorneBy(signature, error)) return true;
  return signature.inCause === true && error.cause !== undefined && bears(signature, error.cause, exit);
}

/** Whether this very exception, not one that led to it, bears a signature. */
export function isBorneBy(signature: Signature, error: PythonError): boolean {
  const { pattern, in: place, notIn, loading, ambiguous } = signature;
  return (
    pattern.test(error.text.slice(0, longestMessage)) &&
    (!place || hasFrame(error, place)) &&
    !(notIn && hasFrame(error, notIn)) &&
    !(loading && readsData(error)) &&
    (!ambiguous || loadsCheckpoint(error))
  );
}

/** The first signature found among the last lines, and the line; of those that count, which is all of them or fewer. */
export function matchLines(
  logs: readonly LogLines[],
  exit: Exit,
  counts: (signature: Signature) => boolean,
): Found | undefined {
  for (const signature of signatures) {
    if (!counts(signature)) continue;
    const evidence = findLine(signature, logs, exit);
    if (evidence) return { signature, evidence };
  }
  return undefined;
}

/** Where among the last lines a signature stands. */
export function findLine(signature: Signature, logs: readonly LogLines[], exit: Exit): Evidence | undefined {
  if (signature.where !== 'line' || !allowsExit(signature, exit)) return undefined;
  for (const log of logs) {
    const from = Math.max(0, log.lines.length - (signature.within ?? lastWords));
    const last = log.lines.slice(from);
    const index = last.findLastIndex((line) => signature.pattern.test(line));
    if (index === -1) continue;
    const { also } = signature;
    if (also && !last.some((line) => also.test(line))) continue;
    return lineEvidence(log, from + index);
  }
  return undefined;
}

/** The signatures that the kernel's log bears, each with its newest line. */
export const matchKernel = ({ kernel = [] }: HostFacts): readonly Found[] =>
  signatures.flatMap((signature) => {
    if (signature.where !== 'kernel') return [];
    const line = kernel.findLast((one) => signature.pattern.test(one));
    return line === undefined ? [] : [{ signature, evidence: { text: line.trim(), source: 'kernel log' } }];
  });

const allowsExit = ({ exitCodes }: Signature, exit: Exit): boolean =>
  exitCodes === undefined || (exit.type === 'code' && exitCodes.includes(exit.code));
