import { classify } from '../failure/classify.js';
import { signatures } from '../failure/signatures.js';
import { frame, header, splitPrefix } from '../failure/traceback-lines.js';
import { fold, startProgress } from '../progress/fold.js';
import { createHeartbeatReader } from '../progress/heartbeat.js';
import type { HealthFinding } from '../progress/types.js';
import type { Evidence, Exit, Failure, LogTail } from '../failure/types.js';
import type { ExplainedExit, Explanation, Sign, SignEvidence } from '../report/report-explanation.js';
import { saidExit, sayings } from './explain-exit.js';
import { literalsOf } from './explain-literals.js';
import type { Finder, LogDigest, Place } from './explain-read.js';
import { searchFor } from './explain-search.js';
import { maskDeep } from './report-mask.js';

/** Shorter strings are found everywhere. */
const leastLiteral = 5;
/** Of a log in which nothing is found so many last lines are shown, and so much of each. */
const endingLines = 3;
const longestEnding = 300;
/** How many of a log's last lines say how it ended. */
const lastWords = 50;
/** Lines behind a place that are read with it, and lines that others may write into a traceback. */
const linesAfter = 10;
const mostForeign = 100;
/** Lines that launchers and loggers may write after the failure that ends a program. */
const mostEpilogue = 15;
/** How much less sure a failure is that the log goes on after. */
const notAtEnd = 0.6;

/** Of Python, and of programs that were called wrongly: where nobody knows, both are tried. */
const assumedExits: readonly Exit[] = [1, 2].map((code) => ({ type: 'code', code }));

/** What tells a failure line by line: tracebacks, the signatures' lines, and how shells say that a program ended. */
export function failureFinder(): Finder {
  const patterns = [
    ...signatures.flatMap(({ where, pattern }) => (where === 'line' ? [pattern] : [])),
    ...sayings.map(({ pattern }) => pattern),
  ];
  // one that names nothing certain is only looked for at the log's end
  const literals = patterns.flatMap((pattern) => literalsOf(pattern, leastLiteral) ?? []);
  return {
    header,
    search: searchFor(literals),
    matters: (line) => patterns.some((pattern) => pattern.test(line)),
  };
}

/**
 * Says what the logs of one program tell of its end: by its last words, as a supervisor would; where those tell nothing,
 * by the last failure that stands further up.
 * @param given how it ended, where that is known
 */
export function explain(logs: readonly LogDigest[], given: Exit | undefined): Explanation {
  const { exit, failure: atEnd } = judgeEnd(logs, given);
  const signs = logs.flatMap(({ places }) => places.flatMap((place) => judgePlace(place) ?? []));
  const succeeded = atEnd.kind === 'success';
  const further = says(atEnd) || succeeded ? undefined : signs.at(-1);
  const known = further ?? (says(atEnd) || (given && !succeeded) ? atEnd : undefined);
  const cause = known && signOf(known, logs);
  const others = grouped(signs, logs).filter((sign) => !cause || !isSame(sign, cause));
  const after = cause ? linesBehind(cause, logs) : undefined;
  // of a program that is only taken to have failed, what it went on after may have been handled
  const handled = further !== undefined || (exit.by === 'assumed' && (after ?? 0) > mostEpilogue);
  return maskDeep({
    exit,
    cause: cause ? { ...cause, confidence: cause.confidence * (handled ? notAtEnd : 1) } : null,
    before: others,
    linesAfter: handled ? (after ?? null) : null,
    logs: logs.map(({ source, bytes, lines, passedOver, tail }) => ({
      ...{ file: source, bytes, lines, passedOver },
      ending: lastLines(tail.text)
        .slice(-endingLines)
        .map((line) => line.slice(0, longestEnding)),
    })),
  });
}

/** How many lines the log has behind the first evidence. */
function linesBehind({ evidence: [first] }: Sign, logs: readonly LogDigest[]): number | undefined {
  const log = logs.find(({ source }) => source === first?.file);
  return log && typeof first?.line === 'number' ? log.lines - first.line : undefined;
}

function judgeEnd(
  logs: readonly LogDigest[],
  given: Exit | undefined,
): { readonly exit: ExplainedExit; readonly failure: Failure } {
  const tails = logs.map(({ tail }) => tail);
  const health = healthOf(tails);
  const judge = (exit: Exit): Failure => classify({ exit, tails, host: {}, ...(health && { health }) });
  if (given) return { exit: { exit: given, by: 'given' }, failure: judge(given) };
  const said = tails.map(({ text }) => saidExit(lastLines(text))).find((one) => one !== undefined);
  if (said) return { exit: { exit: said, by: 'said' }, failure: judge(said) };
  return firstThatSays((exit) => ({ exit: { exit, by: 'assumed' }, failure: judge(exit) }));
}

/** What the heartbeats among the last lines say of the training's health, as a run would have judged it. */
function healthOf(tails: readonly LogTail[]): HealthFinding | undefined {
  const read = createHeartbeatReader();
  const now = { at: 0, mono: 0 };
  let progress = startProgress(now);
  for (const { text } of tails)
    for (const line of text.split(/[\r\n]+/))
      for (const heartbeat of read(line)) progress = fold(progress, heartbeat, now);
  // a row of bad numbers that ended is not what ended the program
  return progress.badLosses > 0 || progress.badGradNorms > 0 ? progress.unhealthy : undefined;
}

/** Of the ends that are possible the first that the lines explain, else Python's. */
function firstThatSays<T extends { readonly failure: Failure }>(judge: (exit: Exit) => T): T {
  const all = assumedExits.map(judge);
  const found = all.find(({ failure }) => says(failure)) ?? all[0];
  if (!found) throw new Error('no exit to assume');
  return found;
}

/** Whether a classification rests on something that was said. */
const says = ({ kind }: Failure): boolean => kind !== 'unknown' && kind !== 'success';

const lastLines = (text: string): readonly string[] => text.trimEnd().split('\n').slice(-lastWords);

/** The failure at one place further up, judged as though the log ended with it. */
function judgePlace(place: Place): Failure | undefined {
  const lines = place.text.split('\n');
  const line = lines[place.at] ?? '';
  const isTraceback = line.includes(header);
  const end = isTraceback ? endOfTraceback(lines, place.at) : place.at + linesAfter;
  const tail: LogTail = {
    ...{ source: place.source, firstLine: place.firstLine },
    text: `${lines.slice(0, end + 1).join('\n')}\n`,
  };
  const said = isTraceback ? undefined : saidExit([line]);
  const judge = (exit: Exit): { readonly failure: Failure } => ({
    failure: classify({ exit, tails: [tail], host: {} }),
  });
  const { failure } = said ? judge(said) : firstThatSays(judge);
  return says(failure) ? failure : undefined;
}

/** `Type: message`, `package.Type`. */
const errorLine = /^[A-Za-z_][\w.<>]{0,200}(?::|$)/;
const chained = /^(?:During handling of the above exception|The above exception was the direct cause)/;

const never = (): boolean => false;

/** The last line of the traceback that begins here, with those that it says it came of. */
function endOfTraceback(lines: readonly string[], at: number): number {
  const { prefix: label } = splitPrefix(lines[at] ?? '', never);
  // a logger labels the header alone
  const own = frame.test(lines[at + 1] ?? '') ? '' : label;
  let end: number | undefined;
  for (let i = at + 1, foreign = 0; i < lines.length && foreign <= mostForeign; i++) {
    const { prefix, text } = splitPrefix(lines[i] ?? '', (one) => one === own);
    if (prefix !== own) {
      foreign++;
      continue;
    }
    const goesOn = text.includes(header) || chained.test(text);
    if (goesOn) end = undefined;
    if (goesOn || text.trim() === '') continue;
    if (/^\s/.test(text)) {
      if (end === i - 1) end = i;
      continue;
    }
    // what follows the exception is no part of it, unless it says so
    if (end !== undefined) return end;
    if (errorLine.test(text)) end = i;
    else foreign++;
  }
  return end ?? lines.length - 1;
}

function signOf(failure: Failure, logs: readonly LogDigest[]): Sign {
  const { kind, reason, confidence, advice = null, signature = null, fingerprint = null } = failure;
  return {
    ...{ kind, cause: reason, confidence, advice, signature, fingerprint },
    evidence: failure.evidence.map((one) => placed(one, logs)),
    ...{ times: 1, last: null },
  };
}

function placed({ text, source }: Evidence, logs: readonly LogDigest[]): SignEvidence {
  const log = logs.find((one) => source.startsWith(`${one.source}:`));
  const line = log ? Number(source.slice(log.source.length + 1)) : NaN;
  return { text, file: log?.source ?? null, line: Number.isInteger(line) ? line : null };
}

/** The same failure once, with how often it is there. Several places may lead to one. */
function grouped(failures: readonly Failure[], logs: readonly LogDigest[]): readonly Sign[] {
  const groups: Sign[] = [];
  for (const failure of failures) {
    const sign = signOf(failure, logs);
    const at = groups.findIndex((one) => one.kind === sign.kind && one.fingerprint === sign.fingerprint);
    const known = groups[at];
    if (!known) groups.push(sign);
    else if (!isSame(known, sign) && !isSameLine(known.last ?? undefined, sign.evidence[0]))
      groups[at] = { ...known, times: known.times + 1, last: sign.evidence[0] ?? null };
  }
  return groups;
}

const isSame = (a: Sign, b: Sign): boolean => isSameLine(a.evidence[0], b.evidence[0]);

const isSameLine = (a: SignEvidence | undefined, b: SignEvidence | undefined): boolean =>
  a !== undefined && b !== undefined && a.file === b.file && a.line === b.line;
