import { createBarWatch } from './bar.js';
import { readExplicit } from './explicit.js';
import { formats, type LineReader } from './formats.js';
import { readGroups } from './formats/groups.js';
import { withoutCodes } from './terminal.js';
import type { Heartbeat } from './types.js';

/** What the script prints for us; nothing that is printed besides is then believed. */
const explicitHint = /heartbeat/i;
/** What a line with a progress bar of tqdm's contains. */
const barHints = ['%|', 'it [', 'ex [', 'examples ['];

const allHints = [...formats.flatMap(({ hints }) => hints), ...barHints];
/** What a line contains that may say something: one scan rejects nearly all that is printed. */
const anyHint = new RegExp(
  // a text that contains another is found with it
  [...new Set(allHints)]
    .filter((hint) => !allHints.some((other) => other !== hint && hint.includes(other)))
    .map((hint) => hint.replaceAll(/[[|]/g, '\\$&'))
    .join('|'),
);

const none: readonly Heartbeat[] = [];
const barMoved: readonly Heartbeat[] = [{ bar: true, metrics: {} }];

export interface ReaderOptions {
  /** The user's own expression: the named groups of a line that it matches. */
  readonly user?: (line: string) => Readonly<Record<string, string>> | undefined;
}

/** A format, and its reader for this attempt. */
interface Known {
  readonly id: string;
  readonly hints: readonly string[];
  readonly read: LineReader;
}

/**
 * Reads every heartbeat of one line of output; of an ordinary line none. Nothing is ever thrown, time is linear in the
 * line's length, and a line without any format's hint costs two scans.
 *
 * One attempt counts in one way: explicit lines first, once there was one; else the user's expression, once it matched;
 * else the format that was recognised first. A loss may be another format's, if the one that counts says none
 * (DeepSpeed's engine counts steps, the Trainer above it prints losses).
 * @returns for each attempt one reader, since formats span lines
 */
export function createHeartbeatReader({ user }: ReaderOptions = {}): (line: string) => readonly Heartbeat[] {
  const barMovedOn = createBarWatch();
  let isSaid = false;
  let known: readonly Known[] = formats.map(({ id, hints, reader }) => ({ id, hints, read: reader() }));
  let countsBy: string | undefined;
  let lossBy: string | undefined;

  function readOwn(raw: string): readonly Heartbeat[] | undefined {
    const said = parseHeartbeats(raw);
    if (said.length > 0) {
      isSaid = true;
      known = [];
      return said;
    }
    const groups = isSaid ? undefined : user?.(withoutCodes(raw));
    const found = groups && readGroups(groups);
    if (found) known = [];
    return found?.map((heartbeat) => ({ ...heartbeat, format: 'pattern' }));
  }

  function readKnown(line: string, raw: string): readonly Heartbeat[] | undefined {
    for (const source of known) {
      const found = source.hints.some((hint) => line.includes(hint)) && source.read(line, raw);
      if (!found) continue;
      const claimed = found.flatMap((heartbeat) => claim(heartbeat, source.id));
      if (countsBy !== undefined && lossBy !== undefined) {
        known = known.filter(({ id }) => id === countsBy || id === lossBy);
      }
      return claimed;
    }
    return undefined;
  }

  /** What of a recognised heartbeat is its format's to say: the first to say it keeps it. */
  function claim(heartbeat: Heartbeat, format: string): Heartbeat[] {
    const { step, epoch, totalSteps, loss, gradNorm, ...rest } = heartbeat;
    const counts = defined({ step, epoch, totalSteps });
    const numbers = defined({ loss, gradNorm });
    if (counts) countsBy ??= format;
    if (numbers) lossBy ??= format;
    const mayCount = countsBy === format;
    const mayTell = lossBy === format;
    if (!mayCount && !(mayTell && numbers)) return [];
    return [{ ...rest, format, ...(mayCount && counts), ...(mayTell && numbers) }];
  }

  return (raw) => {
    const said = readOwn(raw);
    if (said) return said;
    if (!anyHint.test(raw)) return none;
    const hasMoved = barMovedOn(raw);
    const recognised = readKnown(withoutCodes(raw), raw);
    if (recognised && recognised.length > 0) return recognised;
    return hasMoved ? barMoved : none;
  };
}

/**
 * The explicit heartbeats of one line: `heartbeat step=120 loss=0.41`, or the same as JSON, anywhere in it. None where
 * there is none; nothing is thrown, whatever the line holds. Time is linear in its length.
 * @example
 * ```ts
 * const [heartbeat] = parseHeartbeats('12:03 heartbeat step=120 loss=0.41');
 * console.log(heartbeat?.step, heartbeat?.loss); // 120 0.41
 * ```
 */
export const parseHeartbeats = (line: string): Heartbeat[] =>
  explicitHint.test(line) ? readExplicit(line) : [];

/** An object's keys that have a value; undefined if none has. */
function defined<T extends object>(values: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } | undefined {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return entries.length === 0
    ? undefined
    : (Object.fromEntries(entries) as { [Key in keyof T]?: Exclude<T[Key], undefined> });
}
