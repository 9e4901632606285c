import type { LogTail } from '../failure/types.js';
import { Kept } from './explain-kept.js';
import type { Search } from './explain-search.js';

/** Some lines of a log. */
export type Passage = LogTail & { readonly firstLine: number };

/** A place in a log that looks like a failure, with the lines around it. */
export type Place = Passage & {
  /** Which of the lines it is, from 0. */
  readonly at: number;
};

/** What is kept of a log of any length. */
export interface LogDigest {
  readonly source: string;
  readonly bytes: number;
  readonly lines: number;
  /** The last 1 MiB of it. */
  readonly tail: Passage;
  /** Places that look like failures, in order: the first ones and the last ones, tracebacks apart from all else. */
  readonly places: readonly Place[];
  /** So many places between those, or stretches full of what looks like one, were not read closely. */
  readonly passedOver: number;
}

/** How the places are found. */
export interface Finder {
  /** What a traceback begins with. It is looked for by itself, however much beside it looks like a failure. */
  readonly header: string;
  /** Anything else: by strings first, then line by line. */
  readonly search: Search;
  /** Whether a line that holds one of the strings is worth reading around. */
  matters(line: string): boolean;
}

const newline = 10;
const chunkBytes = 1024 * 1024;
const tailBytes = 1024 * 1024;
/** How much around a place is read: bytes before and after, and lines before. */
const beforeBytes = 16 * 1024;
const afterBytes = 32 * 1024;
const linesBefore = 50;
const linesAfter = 400;
/** Of one line so much is looked at. */
const lineBytes = 4096;
/** Of each chunk so many lines are looked at, and so many places found; where every line is one, they say nothing. */
const mostLooks = 500;
const mostFound = 16;
/** So much tells whether lines are short. */
const probeBytes = 1024;
/** So many places are kept of the log's beginning, and of its end. */
const mostKept = 20;

/**
 * Reads a log of any length once, in bounded memory.
 * @param read puts the next bytes at the start of what it is given; 0: that was all
 */
export async function digestLog(
  source: string,
  read: (into: Uint8Array) => Promise<number>,
  finder: Finder,
): Promise<LogDigest> {
  const bytes = Buffer.allocUnsafe(tailBytes + chunkBytes);
  const header = Buffer.from(finder.header);
  const tracebacks = new Kept<Place>(mostKept);
  const others = new Kept<Place>(mostKept);
  /** Stretches in which there were too many to look at each. */
  let stretches = 0;
  let length = 0;
  let total = 0;
  let scanned = 0;
  // how many lines end before this place
  let countedTo = 0;
  let lines = 0;
  const lineAt = (at: number): number => {
    lines += countNewlines(bytes, countedTo, at);
    countedTo = at;
    return lines + 1;
  };

  for (let over = false; !over;) {
    if (length > tailBytes) {
      const drop = length - tailBytes;
      if (countedTo < drop) lineAt(drop);
      bytes.copyWithin(0, drop, length);
      length = tailBytes;
      scanned = Math.max(0, scanned - drop);
      countedTo -= drop;
    }
    const got = await read(bytes.subarray(length));
    over = got === 0;
    length += got;
    total += got;
    scan(over ? length : length - afterBytes);
  }
  const all = lineAt(length);
  const cut = Math.max(0, length - tailBytes);
  // what is cut is no line, unless all of it is one
  const start = cut === 0 ? 0 : Math.min(endOfLine(bytes.subarray(0, length), cut - 1) + 1, length);
  const from = start === length ? cut : start;
  const ended = length === 0 || bytes[length - 1] === newline;
  return {
    ...{ source, bytes: total, lines: ended ? all - 1 : all },
    passedOver: tracebacks.passedOver + others.passedOver + stretches,
    tail: {
      ...{ source, text: bytes.toString('utf8', from, length) },
      firstLine: all - countNewlines(bytes, from, length),
    },
    places: [...tracebacks.all, ...others.all].toSorted((a, b) => lineOf(a) - lineOf(b)),
  };

  function scan(to: number): void {
    const have = bytes.subarray(0, length);
    const found = [
      ...tracebacks.choose(headersIn(have, to)).map((hit) => ({ hit, kept: tracebacks })),
      ...others.choose(signsIn(have, to)).map((hit) => ({ hit, kept: others })),
    ];
    // lines are counted onwards
    for (const { hit, kept } of found.toSorted((a, b) => a.hit - b.hit)) kept.add(placeAt(have, hit));
    scanned = Math.max(scanned, to);
  }

  /** Of more than can be kept only the first ones are looked for, and from the end the last ones. */
  function headersIn(have: Buffer, to: number): number[] {
    const within = have.subarray(0, Math.max(0, to + header.length - 1));
    const hits: number[] = [];
    let at = within.indexOf(header, scanned);
    for (; at !== -1 && hits.length < mostKept; at = within.indexOf(header, at + 1)) hits.push(at);
    if (at === -1) return hits;
    const last: number[] = [];
    let back = within.lastIndexOf(header);
    for (; back >= at && last.length < mostKept; back = within.lastIndexOf(header, back - 1)) last.push(back);
    if (back >= at) stretches++;
    return [...hits, ...last.reverse()];
  }

  function signsIn(have: Buffer, to: number): number[] {
    const hits: number[] = [];
    let at = scanned;
    for (let looks = 0; ; looks++) {
      const hit = finder.search.find(have, at, to);
      if (hit === -1) return hits;
      if (looks === mostLooks || hits.length === mostFound) break;
      const end = endOfLine(have, hit);
      at = end + 1;
      const near = lineBytes / 2;
      const begin = Math.max(startOfLine(have, hit), hit - near);
      if (finder.matters(have.toString('utf8', begin, Math.min(end, hit + near)))) hits.push(hit);
    }
    stretches++;
    return hits;
  }

  function placeAt(have: Buffer, hit: number): Place {
    const begin = startOfLine(have, hit);
    const end = endOfLine(have, hit);
    const from = linesBack(have, begin, Math.max(0, hit - beforeBytes));
    const until = linesOn(have, end, Math.min(length, hit + afterBytes));
    const number = lineAt(Math.max(countedTo, begin));
    const at = countNewlines(have, from, begin);
    return { source, text: have.toString('utf8', from, until), firstLine: number - at, at };
  }
}

const lineOf = ({ firstLine, at }: Place): number => firstLine + at;

/** Where the line that holds this place begins, as far as it is there. */
const startOfLine = (bytes: Buffer, at: number): number =>
  at === 0 ? 0 : bytes.lastIndexOf(newline, at - 1) + 1;

function endOfLine(bytes: Buffer, at: number): number {
  const end = bytes.indexOf(newline, at);
  return end === -1 ? bytes.length : end;
}

/** Some lines back from the start of one, to the start of a line that lies not before `floor`. */
function linesBack(bytes: Buffer, begin: number, floor: number): number {
  let from = begin;
  for (let count = 0; count < linesBefore && from > 0; count++) {
    const before = startOfLine(bytes, from - 1);
    if (before < floor) break;
    from = before;
  }
  return from;
}

/** Some lines on from the end of one, to the end of a line or to `ceiling`. */
function linesOn(bytes: Buffer, end: number, ceiling: number): number {
  let until = Math.min(end, ceiling);
  for (let count = 0; count < linesAfter && until < ceiling; count++)
    until = Math.min(ceiling, endOfLine(bytes, until + 1));
  return until;
}

/** Nearly as fast as memory for lines of any length, and not slower than a byte at a time for empty ones. */
function countNewlines(bytes: Buffer, from: number, to: number): number {
  const sparse = to - from < probeBytes || countEach(bytes, from, from + probeBytes) < probeBytes / 16;
  if (!sparse) return countEach(bytes, from, to);
  let count = 0;
  for (let at = bytes.indexOf(newline, from); at !== -1 && at < to; at = bytes.indexOf(newline, at + 1))
    count++;
  return count;
}

function countEach(bytes: Buffer, from: number, to: number): number {
  let count = 0;
  for (let at = from; at < to; at++) if (bytes[at] === newline) count++;
  return count;
}
