import { type Draft, setField } from './draft.js';
import { numberAt } from './number.js';

const opening = /\{\s*/y;
const key = /"((?:[^"\\]|\\.)*)"\s*:\s*/y;
const text = /"((?:[^"\\]|\\.)*)"/y;
const literal = /true|false|null/y;
const separator = /\s*([,}])\s*/y;

/** How far a nested value is followed; further is not a heartbeat. */
const longestNested = 1024;

/**
 * Reads the JSON object that starts at `from`, with Python's NaN and Infinity. Its own numbers and strings become
 * fields; what is nested is passed over. Cut-off JSON is garbage: nothing is recognised.
 * @returns where the object ends
 */
export function readJsonFields(line: string, from: number, draft: Draft): number {
  const fields: [string, number | string][] = [];
  let at = end(opening, line, from);
  if (line[at] === '}') return at + 1;
  for (;;) {
    key.lastIndex = at;
    const name = key.exec(line)?.[1];
    if (name === undefined) return from;
    const value = readValue(line, key.lastIndex);
    if (!value) return from;
    if (value.value !== undefined) fields.push([name.toLowerCase(), value.value]);
    separator.lastIndex = value.end;
    const next = separator.exec(line);
    if (!next) return from;
    at = separator.lastIndex;
    if (next[1] === '}') break;
  }
  for (const [name, value] of fields) setField(draft, name, value);
  return at;
}

function readValue(line: string, from: number): { value?: number | string; end: number } | undefined {
  const number = numberAt(line, from);
  if (number) return number;
  text.lastIndex = from;
  const string = text.exec(line)?.[1];
  if (string !== undefined) return { value: unescape(string), end: text.lastIndex };
  literal.lastIndex = from;
  if (literal.test(line)) return { end: literal.lastIndex };
  const nested = endOfNested(line, from);
  return nested === undefined ? undefined : { end: nested };
}

function endOfNested(line: string, from: number): number | undefined {
  if (line[from] !== '{' && line[from] !== '[') return undefined;
  const limit = Math.min(line.length, from + longestNested);
  let depth = 0;
  for (let at = from; at < limit; at++) {
    const char = line[at];
    if (char === '"') {
      text.lastIndex = at;
      if (!text.test(line)) return undefined;
      at = text.lastIndex - 1;
    } else if (char === '{' || char === '[') depth++;
    else if ((char === '}' || char === ']') && --depth === 0) return at + 1;
  }
  return undefined;
}

function unescape(string: string): string {
  if (!string.includes('\\')) return string;
  try {
    return String(JSON.parse(`"${string}"`));
  } catch {
    // an escape that JSON does not know: the text as it stands is the best there is
    return string;
  }
}

function end(pattern: RegExp, line: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.test(line) ? pattern.lastIndex : from;
}
