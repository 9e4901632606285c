import { type LogLines, lineEvidence } from './log-lines.js';
import { type Signature, signatures } from './signatures.js';
import type { PythonError } from './traceback.js';
import type { Evidence, Exit } from './types.js';

/** How many lines from the end of a log the words of a dying program are looked for. */
const lastWords = 50;

/** The first signature that the exception, or a cause of it that counts, bears. */
export function matchException(error: PythonError, exit: Exit): Signature | undefined {
  return signatures.find((signature) => bears(signature, error, exit));
}

/** Whether an exception bears one signature. */
export function bears(signature: Signature, error: PythonError, exit: Exit): boolean {
  if (signature.where !== 'exception' || !allowsExit(signature, exit)) return false;
  if (signature.pattern.test(error.text)) return true;
  return signature.inCause === true && error.cause !== undefined && bears(signature, error.cause, exit);
}

/** The first signature found among the last lines, and the line. */
export function matchLines(
  logs: readonly LogLines[],
  exit: Exit,
): { readonly signature: Signature; readonly evidence: Evidence } | undefined {
  for (const signature of signatures) {
    const evidence = findLine(signature, logs, exit);
    if (evidence) return { signature, evidence };
  }
  return undefined;
}

/** Where among the last lines a signature stands. */
export function findLine(signature: Signature, logs: readonly LogLines[], exit: Exit): Evidence | undefined {
  if (signature.where !== 'line' || !allowsExit(signature, exit)) return undefined;
  for (const log of logs) {
    const from = Math.max(0, log.lines.length - lastWords);
    const last = log.lines.slice(from);
    const index = last.findLastIndex((line) => signature.pattern.test(line));
    if (index === -1) continue;
    const { also } = signature;
    if (also && !last.some((line) => also.test(line))) continue;
    return lineEvidence(log, from + index);
  }
  return undefined;
}

const allowsExit = ({ exitCodes }: Signature, exit: Exit): boolean =>
  exitCodes === undefined || (exit.type === 'code' && exitCodes.includes(exit.code));
