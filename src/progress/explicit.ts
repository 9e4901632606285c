import { type Draft, newDraft, setField } from './draft.js';
import { readJsonFields } from './json-fields.js';
import { numberAt } from './number.js';
import type { Heartbeat } from './types.js';

/** Heartbeats read from one line at most; ranks whose lines ran together are a handful. */
const mostPerLine = 64;

const word = /heartbeat/gi;
const afterWord = /:?\s*/y;
const key = /[\s,;|]*([A-Za-z_][\w./-]*)\s*=/y;
const spaces = /\s*/y;
const quoted = /"([^"]*)"|'([^']*)'/y;
const bare = /[^\s,;|]+/y;
const path = /\S+/y;
/** What may stand right behind a heartbeat whose line ran into the next one's. */
const nextHeartbeat = /heartbeat/i;

/**
 * `heartbeat step=120 loss=0.41` or `heartbeat {"step":120,"loss":0.41}`, anywhere in a line. At least one of the known
 * keys (step, epoch, loss, grad_norm, total_steps, phase, checkpoint, rank) must be there: a library's own
 * `heartbeat timeout=30` is none of ours.
 */
export function readExplicit(line: string): Heartbeat[] {
  const found: Heartbeat[] = [];
  let previousEnd = -1;
  word.lastIndex = 0;
  for (let match = word.exec(line); match && found.length < mostPerLine; match = word.exec(line)) {
    const at = match.index;
    if (at !== previousEnd && !isWordStart(line, at)) continue;
    const draft = newDraft();
    const end = readBody(line, at + match[0].length, draft);
    if (!draft.recognised) continue;
    if (draft.heartbeat.rank === undefined) setRankOfPrefix(line, at, draft);
    found.push(draft.heartbeat);
    previousEnd = end;
    word.lastIndex = end;
  }
  return found;
}

/**
 * A digit may stand before it, for `loss=0.41heartbeat`; a letter, `-`, `_`, `.` or `/` makes it part of a name, unless
 * the letter ends a terminal's colour code.
 */
const isWordStart = (line: string, at: number): boolean =>
  at === 0 ||
  !/[A-Za-z_./-]/.test(line[at - 1] ?? '') ||
  /\x1b\[[\d;]*m$/.test(line.slice(Math.max(0, at - 24), at));

/** @returns where the heartbeat ends */
function readBody(line: string, from: number, draft: Draft): number {
  const at = skip(afterWord, line, from);
  if (line[at] === '{') return readJsonFields(line, at, draft);
  return at === from ? from : readPairs(line, at, draft);
}

function readPairs(line: string, from: number, draft: Draft): number {
  let at = from;
  for (;;) {
    key.lastIndex = at;
    const name = key.exec(line)?.[1]?.toLowerCase();
    if (name === undefined) return at;
    at =
      name === 'checkpoint'
        ? readPath(line, key.lastIndex, draft)
        : readValue(line, key.lastIndex, name, draft);
    const glued = endOfRest(line, at);
    if (glued.stop) return glued.at;
    at = glued.at;
  }
}

function readValue(line: string, from: number, name: string, draft: Draft): number {
  const at = skip(spaces, line, from);
  const number = numberAt(line, at, isCount(name));
  if (number) {
    setField(draft, name, number.value);
    return number.end;
  }
  quoted.lastIndex = at;
  const text = quoted.exec(line);
  if (text) {
    setField(draft, name, text[1] ?? text[2] ?? '');
    return quoted.lastIndex;
  }
  if (name !== 'phase') return from;
  const phase = /^[a-z]+?(?=heartbeat|[^a-z]|$)/i.exec(line.slice(at, at + 32))?.[0] ?? '';
  return setField(draft, name, phase.toLowerCase()) ? at + phase.length : from;
}

/** A path may hold anything but white space, so a heartbeat that ran into it is told by what follows. */
function readPath(line: string, from: number, draft: Draft): number {
  quoted.lastIndex = from;
  const text = quoted.exec(line);
  if (text) {
    setField(draft, 'checkpoint', text[1] ?? text[2] ?? '');
    return quoted.lastIndex;
  }
  path.lastIndex = from;
  const found = path.exec(line)?.[0];
  if (found === undefined) return from;
  const end = /.heartbeat$/i.test(found.slice(-10)) ? found.length - 'heartbeat'.length : found.length;
  setField(draft, 'checkpoint', found.slice(0, end).replace(/,$/, ''));
  return from + end;
}

/** Passes over what hangs on to a value, such as the unit in `time=3.2s`, unless the next heartbeat begins in it. */
function endOfRest(line: string, from: number): { at: number; stop: boolean } {
  bare.lastIndex = from;
  const rest = bare.exec(line)?.[0];
  if (rest === undefined) return { at: from, stop: false };
  const next = rest.search(nextHeartbeat);
  return next === -1 ? { at: from + rest.length, stop: false } : { at: from + next, stop: true };
}

/** `[rank1]: heartbeat …`, as torchrun prefixes lines. */
function setRankOfPrefix(line: string, at: number, draft: Draft): void {
  const start = line.lastIndexOf('[rank', at);
  if (start === -1) return;
  const rank = /^\[rank(\d{1,7})\]/.exec(line.slice(start, start + 16))?.[1];
  if (rank !== undefined) setField(draft, 'rank', Number(rank));
}

const isCount = (name: string): boolean => name === 'step' || name === 'total_steps';

function skip(pattern: RegExp, line: string, from: number): number {
  pattern.lastIndex = from;
  return pattern.test(line) ? pattern.lastIndex : from;
}
