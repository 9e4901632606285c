import type { Evidence, LogTail } from './types.js';

/** The end of a log, as lines. */
export interface LogLines {
  readonly source: string;
  readonly lines: readonly string[];
  /** The number of `lines[0]` in the log, from 1. */
  readonly firstNumber: number;
}

/** Lines looked at from the end of a log, and characters of one line. */
const mostLines = 5_000;
const longestLine = 4096;
const longestEvidence = 500;
const newline = 10;

/** Splits a tail into its last 5,000 lines. What a carriage return overwrote (a progress bar) is left out. */
export function toLines({ source, text, firstLine = 1 }: LogTail): LogLines {
  const body = text.endsWith('\n') ? text.slice(0, -1) : text;
  let start = body.length;
  for (let count = 0; count < mostLines && start > 0; count++) start = body.lastIndexOf('\n', start - 1);
  const from = start > 0 ? start + 1 : 0;
  let firstNumber = firstLine;
  for (let at = 0; at < from; at++) if (body.charCodeAt(at) === newline) firstNumber++;
  const lines = body.length === 0 ? [] : withoutStamps(body.slice(from).split('\n').map(tidy));
  return { source, lines, firstNumber };
}

/** A line as evidence: `worker-0.err.log:12`. */
export const lineEvidence = ({ source, lines, firstNumber }: LogLines, index: number): Evidence => ({
  text: (lines[index] ?? '').trim().slice(0, longestEvidence),
  source: `${source}:${firstNumber + index}`,
});

/** What the Python client says in the training's output: alone, or as `logging.basicConfig` has it. */
const ownWord = /^(?:[A-Z]+:trainguard:)?trainguard: /;

/** The last line in which the training says something; the error stream's, if it has any. */
export function lastLine(logs: readonly LogLines[]): Evidence | undefined {
  for (const log of logs) {
    const index = log.lines.findLastIndex((line) => line.trim() !== '' && !ownWord.test(line));
    if (index !== -1) return lineEvidence(log, index);
  }
  return undefined;
}

/** Keeps a quotation short enough for a sentence. */
export const shortened = (text: string): string => (text.length > 240 ? `${text.slice(0, 239)}…` : text);

function tidy(line: string): string {
  const end = line.endsWith('\r') ? line.length - 1 : line.length;
  const start = line.lastIndexOf('\r', end - 1) + 1;
  // a line is cut at its start where it is a progress bar that something was written behind
  return line.slice(end - start > longestLine ? end - longestLine : start, end);
}

/** What a log's collector writes before each line: `kubectl logs --timestamps`, `docker logs -t`, the files of a CRI. */
const stamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d) (?:std(?:out|err) [FP] )?/;
const linesAsked = 20;

/** A stamp is the collector's only if the last lines all have one. */
function withoutStamps(lines: readonly string[]): readonly string[] {
  const last = lines.slice(-linesAsked);
  return last.every((line) => stamp.test(line)) ? lines.map((line) => line.replace(stamp, '')) : lines;
}
