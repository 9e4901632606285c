import { numberAt } from './number.js';

/** One refresh of a tqdm bar: `Epoch 0:  12%|█▏        | 120/1000 [00:03<00:25, 35.1it/s, loss=0.41]`. */
export interface Bar {
  /** What stands before the percentage, `Epoch 0`; empty for a bar without a name. */
  readonly name: string;
  readonly done: number;
  /** undefined: not known, or too large to be printed whole. */
  readonly total?: number;
  /** What stands behind the rate, `loss=0.41`. */
  readonly rest: string;
  /** Printed below another bar, from where the cursor goes up again: not the outermost. */
  readonly nested: boolean;
}

/** Of a longer name only the end is looked at, and nothing of a bar is longer than its own bound. */
const longestName = 200;
const percent = /(\d{1,3})$/;
const body =
  /%\|[^|]{0,500}\| {0,20}(\d{1,15}(?:\.\d{1,6})?)([kMGT]?)\/(\d{1,15}(?:\.\d{1,6})?)([kMGT]?) \[[^<\]]{0,20}<[^,\]]{0,20}(?:,([^\]]{0,1000}))?\]/y;
const unbounded = /(?:^|[^\d.])(\d{1,15})(?:it|ex|examples) \[\d/;
/** Keras' bar, whose headline may have come before anybody listened. */
const slashed =
  /(?:^|m| )(\d{1,12})\/(\d{1,12})(?:\x1b\[[\d;]{0,8}m){0,2} (?:\x1b\[[\d;]{0,8}m){0,2}(?:━|\[[=>])/;
const pair = /([A-Za-z][\w/.-]{0,63})=([^,\s]{1,40})/g;

/**
 * Reads a bar of tqdm's, of which the rest of the line may be anything. Time is linear in the line's length.
 * @param line with its terminal codes: whether the cursor goes up behind a bar tells which bar it is
 */
export function readBar(line: string): Bar | undefined {
  const at = line.indexOf('%|');
  if (at === -1) return undefined;
  const head = line.slice(Math.max(0, at - longestName), at);
  const digits = percent.exec(head)?.[1];
  body.lastIndex = at;
  const match = digits === undefined ? null : body.exec(line);
  if (digits === undefined || !match) return undefined;
  const [, done = '', doneUnit, total = '', totalUnit, rest = ''] = match;
  return {
    name: head.slice(0, -digits.length).trim().replace(/:$/, ''),
    done: Number(done) * (units[doneUnit ?? ''] ?? 1),
    ...(totalUnit === '' && { total: Number(total) }),
    rest,
    nested: /\x1b\[A$/.test(line.slice(-8)),
  };
}

const units: Readonly<Record<string, number>> = { k: 1e3, M: 1e6, G: 1e9, T: 1e12 };

/**
 * The numbers behind a bar, `loss=0.41`, each once. A bar is drawn anew for each batch, as a rule twice: with the numbers
 * of the batch before, then with its own. So a place's numbers are those that were there last, told when it is left.
 * @returns of each draw the numbers of the place that it left; undefined while it stays
 */
export function createBarNumbers(): (
  bar: Bar,
) => readonly (readonly [name: string, value: number])[] | undefined {
  let place = '';
  let last = '';
  return (bar) => {
    const at = `${bar.name} ${bar.done}`;
    const left = at === place ? undefined : last;
    place = at;
    // nothing was done at its beginning: those are older still
    last = bar.done === 0 ? '' : bar.rest;
    return left === undefined ? undefined : numbersOf(left);
  };
}

const numbersOf = (rest: string): (readonly [string, number])[] =>
  Array.from(rest.matchAll(pair)).flatMap(([, name = '', text = '']) => {
    const number = numberAt(text, 0);
    return number?.end === text.length ? [[name, number.value] as const] : [];
  });

/** So many bars are told apart. */
const mostBars = 16;

/**
 * Tells of each line whether it shows a progress bar that has moved on since it was last seen: nobody knows what it
 * counts, but whoever prints it works. One that is only drawn anew says nothing.
 */
export function createBarWatch(): (line: string) => boolean {
  const seen = new Map<string, number>();
  return (line) => {
    const place = placeOf(line);
    if (!place) return false;
    const { key, done } = place;
    const last = seen.get(key);
    if (last === undefined && seen.size >= mostBars) seen.clear();
    seen.set(key, done);
    // a bar that begins is no movement: a loop that hangs in its first turn has shown one
    return last !== undefined && done > last;
  };
}

function placeOf(line: string): { readonly key: string; readonly done: number } | undefined {
  const bar = readBar(line);
  if (bar) return { key: `${bar.name}/${bar.total ?? ''}`, done: bar.done };
  const [, done, total] = unbounded.exec(line) ?? slashed.exec(line) ?? [];
  return done === undefined ? undefined : { key: `/${total ?? ''}`, done: Number(done) };
}
