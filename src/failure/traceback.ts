import { fromRich } from './rich.js';
import { type ErrorLine, frame, type Header, readErrorLine, splitPrefix } from './traceback-lines.js';

export interface Frame {
  readonly file: string;
  readonly line: number;
  /** Undefined where the code could not even be compiled. */
  readonly in?: string;
  /** The line of source that Python printed below it. */
  readonly code?: string;
}

/** An exception as Python printed it. */
export interface PythonError {
  /** `torch.OutOfMemoryError`, `KeyError`. */
  readonly type: string;
  readonly message: string;
  /** `type: message` and the indented lines that go on with it. */
  readonly text: string;
  readonly frames: readonly Frame[];
  /** Where its traceback starts, and where its last line stands: indexes of lines. */
  readonly start: number;
  readonly end: number;
  /** The exception that was being handled when this one was raised. */
  readonly cause?: PythonError;
}

const chained =
  /^(?:During handling of the above exception, another exception occurred|The above exception was the direct cause of the following exception):$/;
/** What a launcher raises to report the failure of the processes it started. */
const relayed =
  /(?:^|\.)(?:ChildFailedError|CalledProcessError|ProcessRaisedException|ProcessExitedException|SignalException)$/;

/** A message that goes on in the next line: indented, or NCCL's own words below torch's. */
const continuation = /^\s+\S|^(?:nccl[A-Z]\w{1,40}: |Last error:|Cuda failure )/;

const mostFrames = 64;
const mostCauses = 8;
const mostContinuation = 20;

/** Lines that other processes may write into the middle of a traceback, before it is given up. */
const mostForeign = 100;
/** A script that does not compile is reported in so many lines, without a header. */
const headlessLines = 5;
const doesNotCompile = /^(?:SyntaxError|IndentationError|TabError)$/;

interface Reading {
  start: number;
  /** The last line that belongs to it, and whether that was the newest of its voice. */
  last: number;
  adjacent: boolean;
  headless: boolean;
  frames: Frame[];
  cause: PythonError | undefined;
}

/** What one rank (or whatever writes without a prefix) has shown so far. */
interface Voice {
  reading: Reading | undefined;
  last: PythonError | undefined;
  /** The newest before `last` that is not in its chain. */
  before: PythonError | undefined;
  pendingCause: PythonError | undefined;
  continuation: number;
}

/** The exceptions of a log that may have ended it. */
export interface Errors {
  /** Of several ranks (`[rank1]: …`) one each, the one that failed first in front; else one, or none. */
  readonly candidates: readonly PythonError[];
  /** Index of the line on which the newest of all ends. */
  readonly end: number;
}

/**
 * The exception that ended a Python program: the last one printed, with what it came from. A launcher's report of a
 * failed child gives way to the child's own words.
 */
export function lastErrors(lines: readonly string[]): Errors {
  const voices = new Map<string, Voice>();
  let headerAt: number | undefined;
  for (const [index, line] of lines.entries()) {
    const { prefix, text, header } = splitPrefix(fromRich(line) ?? line, (one) => voices.has(one));
    let voice = voices.get(prefix);
    if (!voice) {
      if (voices.size >= 1024) continue;
      voice = {
        reading: undefined,
        last: undefined,
        before: undefined,
        pendingCause: undefined,
        continuation: 0,
      };
      voices.set(prefix, voice);
    }
    // a logger labels the header alone, and a progress bar before it has taken a label away
    hear(voice, text, index, header, headerAt === index - 1);
    if (header) headerAt = index;
  }
  const all = [...voices.values()].flatMap((voice) => (voice.last ? [voice.last] : []));
  const ends = all.map(({ end }) => end);
  const { '': unprefixed, ...ranks } = Object.fromEntries(voices);
  const ofRanks = Object.values(ranks)
    .flatMap((voice) => (voice.last ? [voice.last] : []))
    .toSorted((a, b) => rootOf(a).start - rootOf(b).start);
  const { last, before } = unprefixed ?? {};
  const own = last && relayed.test(last.type) ? (before ?? last) : last;
  // two thousand ranks at most: the arguments of one call
  return { candidates: ofRanks.length > 0 || !own ? ofRanks : [own], end: Math.max(-1, ...ends) };
}

/** Whether what this says is that another process failed. */
export const isRelay = (error: PythonError): boolean => relayed.test(error.type);

/** @param behindHeader whether the line before it, of whatever voice, began a traceback */
function hear(
  voice: Voice,
  text: string,
  index: number,
  header: Header | undefined,
  behindHeader: boolean,
): void {
  if (header) {
    // what a process was told by another, quoted in the message of its own exception, happened within it
    const around = header === 'quoted' && voice.last?.end === index - 1 ? voice.last.frames : [];
    voice.reading = reading(index, { frames: [...around], cause: voice.pendingCause });
    voice.pendingCause = undefined;
    return;
  }
  const at = frame.exec(text);
  if (at) {
    voice.reading ??= reading(index, { headless: !behindHeader });
    voice.reading.last = index;
    voice.reading.adjacent = true;
    const { frames } = voice.reading;
    if (frames.length >= mostFrames) frames.shift();
    frames.push({ file: at[1] ?? '', line: Number(at[2]), ...(at[3] !== undefined && { in: at[3] }) });
    return;
  }
  if (chained.test(text)) {
    voice.pendingCause = voice.last;
    return;
  }
  if (voice.reading) {
    goOn(voice, voice.reading, text, index);
    return;
  }
  if (
    voice.last &&
    voice.continuation < mostContinuation &&
    voice.last.end === index - 1 &&
    continuation.test(text)
  ) {
    voice.continuation++;
    voice.last = { ...voice.last, text: `${voice.last.text}\n${text}`, end: index };
  }
}

const reading = (index: number, more: Partial<Reading>): Reading => ({
  start: index,
  last: index,
  adjacent: true,
  headless: false,
  frames: [],
  cause: undefined,
  ...more,
});

/** A line that is no frame: source text and carets, the exception itself, or what somebody else wrote in between. */
function goOn(voice: Voice, reading: Reading, text: string, index: number): void {
  if (/^\s+\S/.test(text)) {
    const newest = reading.frames.at(-1);
    if (newest && newest.code === undefined) reading.frames.splice(-1, 1, { ...newest, code: text.trim() });
    reading.last = index;
    reading.adjacent = true;
    return;
  }
  const error = readErrorLine(text, reading.adjacent);
  if (error && (!reading.headless || doesNotCompile.test(error.type))) {
    conclude(voice, reading, error, index);
    return;
  }
  reading.adjacent = false;
  if (index - reading.last > (reading.headless ? headlessLines : mostForeign)) voice.reading = undefined;
}

function conclude(voice: Voice, reading: Reading, { type, message }: ErrorLine, index: number): void {
  const { start, frames, cause } = reading;
  const text = message === '' ? type : `${type}: ${message}`;
  if (!cause) voice.before = voice.last;
  voice.last = { type, message, text, frames, start, end: index, ...(cause && { cause: shortened(cause) }) };
  voice.reading = undefined;
  voice.continuation = 0;
}

/** Keeps a chain from growing without end. */
function shortened(error: PythonError, left = mostCauses): PythonError {
  if (!error.cause) return error;
  if (left > 1) return { ...error, cause: shortened(error.cause, left - 1) };
  const { cause: _cut, ...rest } = error;
  return rest;
}

const rootOf = (error: PythonError): PythonError => (error.cause ? rootOf(error.cause) : error);
