import { classify } from '../failure/classify.js';
import { kindsTable } from '../failure/kinds.js';
import { signalName, signalNumber } from '../failure/signals.js';
import type { Exit, Failure } from '../failure/types.js';
import { asPython, holdsPython, withHeader } from './as-python.js';
import type { ErrorReport, RecoveryFailure } from './decision.js';

/** The end of a text says how it ended; characters. */
const longestText = 64 * 1024;
const mostCauses = 16;

/**
 * Says what an error is, by the table that the command judges logs by. Of an error that only wraps others, what these
 * are; one that only lost its connection gives way to the rest. Pure.
 */
export function classifyReport(report: ErrorReport): RecoveryFailure {
  const own = classifyOne(report);
  if (!isVague(own)) return own;
  const causes = (report.causes ?? [])
    .slice(0, mostCauses)
    .map(classifyOne)
    .filter((one) => !isVague(one));
  return causes.find(({ kind }) => kind !== 'network') ?? causes[0] ?? own;
}

const isVague = ({ kind }: { readonly kind: string }): boolean => kind === 'exception' || kind === 'unknown';

function classifyOne(report: ErrorReport): RecoveryFailure {
  const failure = judge(report);
  if (!isVague(failure) || !tellsOfConvergence(report)) return withAdvice(failure);
  const { type = 'Error', message } = report;
  return {
    kind: 'convergence',
    ...(failure.fingerprint !== undefined && { fingerprint: failure.fingerprint }),
    reason: `the training does not converge: ${type}: ${firstLine(message)}`,
    advice: 'a lower learning rate, a longer warm-up or gradient clipping are the usual cures',
  };
}

function withAdvice({
  kind,
  fingerprint,
  reason,
  advice = kindsTable[kind].advice,
}: Failure): RecoveryFailure {
  return {
    // exit 0 is not looked at, so it is no success
    kind: kind === 'success' ? 'unknown' : kind,
    ...(fingerprint !== undefined && { fingerprint }),
    reason,
    ...(advice !== undefined && { advice }),
  };
}

const byName = /(?:^|\.)(?:\w{0,40}Converge(?:nce)?|\w{0,40}Diverge(?:d|nce)?)(?:Error|Exception|Warning)?$/;
const byWords =
  /\b(?:training|model|optimi[sz](?:er|ation)|loss) (?:(?:has|is|was) )?(?:diverged|diverging)\b|\b(?:did|does|do|could|will) not converge\b|\b(?:failed|fails|unable) to converge\b/i;

function tellsOfConvergence({ type = '', message, traceback = '' }: ErrorReport): boolean {
  // what a process wrote ends with the error's own line
  const last = tail(traceback).trimEnd().split('\n').at(-1) ?? '';
  const [lastType = ''] = last.split(':', 1);
  return (
    [type, lastType].some((one) => byName.test(one)) || [message, last].some((one) => byWords.test(tail(one)))
  );
}

function judge(report: ErrorReport): Failure {
  const message = tail(report.message);
  const traceback = tail(report.traceback ?? '');
  const notStarted = startFailure(report);
  if (notStarted) return classify({ exit: notStarted, tails: [], host: {} });
  const exit = exitOf(report);
  // the message goes first: a stack of JavaScript quotes it
  const python = [message, traceback].find(holdsPython);
  if (exit) {
    const log = python === undefined ? traceback || message : withHeader(python);
    return classifyText(log, exit);
  }
  if (python !== undefined) return classifyText(withHeader(endsWith(python, report)), raised);
  const { text, told, own } = asPython({ ...report, message, traceback });
  const failure = classifyText(text, raised);
  // words that no exception's message bears, but a log's line does
  const asLines = failure.signature === undefined ? classifyText(message, raised) : undefined;
  return asLines && asLines.kind !== 'unknown' ? asLines : inOwnWords(failure, told, own);
}

/** How Python ends on an exception. */
const raised: Exit = { type: 'code', code: 1 };

const classifyText = (text: string, exit: Exit): Failure =>
  classify({ exit, tails: [{ source: 'err', text }], host: {} });

/** Frames alone, as traceback.format_tb gives them, do not say what was raised. */
function endsWith(traceback: string, { type = 'Error', message }: ErrorReport): string {
  const first = firstLine(message);
  const said = traceback.includes(first.trim()) && traceback.includes(type.split('.').at(-1) ?? type);
  return said ? traceback : `${traceback.trimEnd()}\n${type}: ${first}`;
}

/** The reason in the words of the error itself, not in those it was told in for Python's table. */
const inOwnWords = (failure: Failure, told: string, own: string): Failure => ({
  ...failure,
  reason: failure.reason
    .replace(told, () => own)
    .replace(/^Python stopped on an exception/, 'the program stopped on an error')
    .replace(/^Python /, 'the program '),
});

/** What the command line of a program that cannot be started says; anything else may pass. */
const cannotStart = /\bspawn (?:.{1,500} )?(ENOENT|EACCES|EPERM|ENOEXEC|ENOTDIR|EISDIR|ELOOP|ENAMETOOLONG)\b/;

function startFailure({ message }: ErrorReport): Exit | undefined {
  const found = cannotStart.exec(message.slice(0, longestText));
  return found ? { type: 'not-started', code: found[1] ?? '', message: found[0] } : undefined;
}

/** How the process ended that an error tells of; undefined: it tells of none. */
function exitOf({ exitCode, signal }: ErrorReport): Exit | undefined {
  if (signal !== undefined) return { type: 'signal', signal, number: signalNumber(signal) };
  if (exitCode === undefined || exitCode === 0) return undefined;
  if (exitCode > 0) return { type: 'code', code: exitCode };
  return { type: 'signal', signal: signalName(-exitCode), number: -exitCode };
}

const tail = (text: string): string => text.slice(-longestText);

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';
