import { fingerprintOf, isForeign, placeInWords, userFrame } from './fingerprint.js';
import { type LogLines, lineEvidence, shortened } from './log-lines.js';
import { type Found, isBorneBy, matchException, matchLines } from './match.js';
import { deathOf } from './signals.js';
import type { Signature } from './signatures/signature.js';
import { isRelay, lastErrors, type PythonError } from './traceback.js';
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
    const { candidates, end } = lastErrors(log.lines);
    const error = rootOf(candidates, exit);
    if (!error) continue;
    const after = log.lines.length - 1 - end;
    if (after > (ownStatus ? mostAfter : mostAfterOther)) continue;
    const failure = describe(causeOfInterrupt(error, exit, log, ownStatus), exit, log, ownStatus);
    // of an interrupt Python dies by the signal, of anything else with its status
    const interrupted = failure.kind === 'stopped';
    if (ownStatus || interrupted === (death?.signal === 'SIGINT')) return failure;
  }
  return undefined;
}

/** With a status of its own a program was not interrupted, if something else went wrong before: a helper of it was, at its end. */
function causeOfInterrupt(error: PythonError, exit: Exit, log: LogLines, ownStatus: boolean): PythonError {
  const isStop = (one: PythonError): boolean => matchException(one, exit)?.kind === 'stopped';
  if (!ownStatus || !isStop(error)) return error;
  const { candidates, end } = lastErrors(log.lines.slice(0, error.start));
  const other = candidates.find((one) => !isStop(one));
  return other && error.start - end <= mostAfterOther ? other : error;
}

/** The rank that failed first. One that only lost its connection to another did so because that other one failed. */
const rootOf = (candidates: readonly PythonError[], exit: Exit): PythonError | undefined =>
  candidates.find((error) => matchException(error, exit)?.kind !== 'network') ?? candidates[0];

function describe(error: PythonError, exit: Exit, log: LogLines, ownStatus: boolean): Failure {
  const signature = matchException(error, exit);
  const bearer = (signature && chainOf(error).find((one) => isBorneBy(signature, one))) ?? error;
  const explanation = signature?.explanation ?? 'Python stopped on an exception';
  const advice =
    signature?.advice ??
    (isRelay(error) ? 'the processes that it started may say more in logs of their own' : undefined);
  const frames = [bearer, error].flatMap((one) => userFrame(one) ?? []);
  const frame = frames.find((one) => !isForeign(one)) ?? frames[0];
  return {
    kind: signature?.kind ?? 'exception',
    fingerprint: fingerprintOf(error),
    reason: `${explanation}: ${shortened(inOneLine(bearer.text))}${frame ? ` (${placeInWords(frame)})` : ''}`,
    ...(advice !== undefined && { advice }),
    ...(signature && tokens(signature)),
    evidence: chainOf(error).map((one) => exceptionEvidence(one, log)),
    confidence: ownStatus ? 0.95 : 0.7,
  };
}

/** What the policy decides by. */
const tokens = ({ id, loading }: Signature): Pick<Failure, 'signature' | 'loading'> => ({
  signature: id,
  ...(loading && { loading }),
});

const chainOf = (error: PythonError): PythonError[] => [error, ...(error.cause ? chainOf(error.cause) : [])];

function exceptionEvidence(error: PythonError, log: LogLines): Evidence {
  const index = error.end - (error.text.split('\n').length - 1);
  return lineEvidence(log, index);
}

/** What the last words of any other program say. Of one that was killed from outside: only who did it. */
export function fromLines(exit: Exit, logs: readonly LogLines[]): Failure | undefined {
  const death = deathOf(exit);
  const killed = (death !== undefined && !death.fault) || exit.type === 'unknown';
  return fromLine(
    matchLines(logs, exit, ({ saysWhoKilled, onlyIfKilled }) =>
      killed ? saysWhoKilled !== undefined : !onlyIfKilled,
    ),
  );
}

/** Who ended the program from outside, where that is said beyond doubt. */
export const fromScheduler = (exit: Exit, logs: readonly LogLines[]): Failure | undefined =>
  fromLine(matchLines(logs, exit, ({ saysWhoKilled }) => saysWhoKilled === 'surely'));

function fromLine(found: Found | undefined): Failure | undefined {
  if (!found) return undefined;
  const { signature, evidence } = found;
  const { advice } = signature;
  return {
    kind: signature.kind,
    fingerprint: signature.id,
    reason: `${signature.explanation}: ${shortened(evidence.text)}`,
    ...(advice !== undefined && { advice }),
    ...tokens(signature),
    evidence: [evidence],
    confidence: 0.8,
  };
}

/** The first line of a message, and the second where the first only announces it. */
function inOneLine(text: string): string {
  const [first = '', second = ''] = text.split('\n', 2);
  return first.endsWith(':') ? `${first} ${second.trim()}` : first;
}
