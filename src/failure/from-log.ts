import { fingerprintOf, shortFile, userFrame } from './fingerprint.js';
import { type LogLines, lineEvidence, shortened } from './log-lines.js';
import { matchException, matchLines } from './match.js';
import { deathOf } from './signals.js';
import { isRelay, lastError, type PythonError } from './traceback.js';
import type { Evidence, Exit, Failure } from './types.js';

/** Exit status of a Python program that an exception ended. */
const pythonStatus = 1;
/** Lines after an exception that still leave it the cause: epilogues of launchers and loggers. */
const mostAfter = 100;
/** The same where the exit status is not Python's own. */
const mostAfterOther = 10;

/** What the exception that ended a Python program says; nothing if none did. */
export function fromException(exit: Exit, logs: readonly LogLines[]): Failure | undefined {
  const death = deathOf(exit);
  // killed from outside: what stands in the log did not do it. Native code that aborts after an exception did.
  const bySignal = death !== undefined && !death.fault && death.signal !== 'SIGINT';
  if (bySignal || exit.type === 'unknown') return undefined;
  const ownStatus = exit.type === 'code' && exit.code === pythonStatus;
  for (const log of logs) {
    const error = lastError(log.lines);
    if (!error) continue;
    const after = log.lines.length - 1 - error.end;
    if (after > (ownStatus ? mostAfter : mostAfterOther)) continue;
    const failure = describe(error, exit, log, ownStatus);
    // of an interrupt Python dies by the signal, of anything else with its status
    const interrupted = failure.kind === 'stopped';
    if (ownStatus || interrupted === (death?.signal === 'SIGINT')) return failure;
  }
  return undefined;
}

function describe(error: PythonError, exit: Exit, log: LogLines, ownStatus: boolean): Failure {
  const signature = matchException(error, exit);
  const root = signature && !signature.pattern.test(error.text) ? causeOf(error, signature.pattern) : error;
  const explanation = signature?.explanation ?? 'Python stopped on an exception';
  const advice =
    signature?.advice ??
    (isRelay(error) ? 'the processes that it started may say more in logs of their own' : undefined);
  return {
    kind: signature?.kind ?? 'exception',
    fingerprint: fingerprintOf(error),
    reason: `${explanation}: ${shortened(firstLine(root.text))}${whereOf(root)}`,
    ...(advice !== undefined && { advice }),
    evidence: chainOf(error).map((one) => exceptionEvidence(one, log)),
    confidence: ownStatus ? 0.95 : 0.7,
  };
}

const chainOf = (error: PythonError): PythonError[] => [error, ...(error.cause ? chainOf(error.cause) : [])];
const causeOf = (error: PythonError, pattern: RegExp): PythonError =>
  chainOf(error).find((one) => pattern.test(one.text)) ?? error;

function whereOf(error: PythonError): string {
  const frame = userFrame(error);
  if (!frame) return '';
  const inFunction = frame.in === undefined || frame.in.startsWith('<') ? '' : `, in ${frame.in}`;
  return ` (${shortFile(frame.file)} line ${frame.line}${inFunction})`;
}

function exceptionEvidence(error: PythonError, log: LogLines): Evidence {
  const index = error.end - (error.text.split('\n').length - 1);
  return lineEvidence(log, index);
}

/** What the last words of any other program say. */
export function fromLines(exit: Exit, logs: readonly LogLines[]): Failure | undefined {
  const death = deathOf(exit);
  if ((death !== undefined && !death.fault) || exit.type === 'unknown') return undefined;
  const found = matchLines(logs, exit);
  if (!found) return undefined;
  const { signature, evidence } = found;
  const { advice } = signature;
  return {
    kind: signature.kind,
    fingerprint: signature.id,
    reason: `${signature.explanation}: ${shortened(evidence.text)}`,
    ...(advice !== undefined && { advice }),
    evidence: [evidence],
    confidence: 0.8,
  };
}

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';
