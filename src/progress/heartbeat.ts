import { createBarWatch } from './bar.js';
import { readExplicit } from './explicit.js';
import { formats, type LineReader } from './formats.js';
import { readGroups } from './formats/groups.js';
import { withoutCodes } from './terminal.js';
import type { Heartbeat } from './types.js';

/** What the script prints for us; nothing that is printed besides is then believed. */
const explicitHint = /heartbeat/i;
/** What every progress bar of tqdm's contains. */
const barHint = /%\||(?:it|ex|examples) \[/;

/** What a line that says anything to us contains: one scan rejects nearly all that is printed. */
const anyHint = new RegExp([...formats.map(({ hint }) => hint), barHint].map(({ source }) => source).join('|'));

const none: readonly Heartbeat[] = [];
const barMoved: readonly Heartbeat[] = [{ bar: true, metrics: {} }];

export interface ReaderOptions {
  /** The user's own expression: the named groups of a line that it matches. */
  readonly user?: (line: string) => Readonly<Record<string, string>> | undefined;
}

interface Source {
  /** undefined: a heartbeat that the script says itself. */
  readonly id: string | undefined;
  readonly hint: RegExp | undefined;
  readonly read: LineReader;
  /** What was printed or written for us, rather than recognised. */
  readonly own?: true;
}

/**
 * Reads every heartbeat of one line of output; of an ordinary line none. Nothing is ever thrown, time is linear in the
 * line's length, and a line without a format's hint costs one scan for each.
 *
 * One attempt counts in one way: explicit lines first, once there was one; else the user's expression, once it matched;
 * else the format that was recognised first. What another one says of a loss is taken as long as none with counts says
 * one (DeepSpeed's engine counts steps, the Trainer above it prints losses).
 * @returns for each attempt one reader, since formats span lines
 */
export function createHeartbeatReader({ user }: ReaderOptions = {}): (line: string) => readonly Heartbeat[] {
  const barMovedOn = createBarWatch();
  let sources: readonly Source[] = [
    { id: undefined, hint: explicitHint, read: readSaid, own: true },
    ...(user ? [{ id: 'pattern', hint: undefined, read: readerOf(user), own: true as const }] : []),
    ...formats.map(({ id, hint, reader }) => ({ id, hint, read: reader() })),
  ];
  let countsBy: string | undefined;
  let lossBy: string | undefined;

  /** What of a recognised heartbeat is its format's to say; the first to say it keeps it. */
  function claim(heartbeat: Heartbeat, format: string): Heartbeat[] {
    const { step, epoch, totalSteps, loss, gradNorm, ...rest } = heartbeat;
    const counts = defined({ step, epoch, totalSteps });
    const numbers = defined({ loss, gradNorm });
    if (counts) countsBy ??= format;
    if (numbers) lossBy ??= format;
    const mayCount = countsBy === format;
    if (!mayCount && !(numbers && lossBy === format)) return [];
    return [{ ...rest, format, ...(mayCount && counts), ...(lossBy === format && numbers) }];
  }

  function read(source: Source, line: string, raw: string): readonly Heartbeat[] | undefined {
    const found = source.read(line, raw);
    if (!found || found.length === 0) return found;
    const { id, own } = source;
    if (own) {
      sources = sources.slice(0, sources.indexOf(source) + 1);
      return id === undefined ? found : found.map((heartbeat) => ({ ...heartbeat, format: id }));
    }
    const claimed = id === undefined ? none : found.flatMap((heartbeat) => claim(heartbeat, id));
    if (countsBy !== undefined && lossBy !== undefined) {
      sources = sources.filter((one) => one.own || one.id === countsBy || one.id === lossBy);
    }
    return claimed;
  }

  return (raw) => {
    const line = withoutCodes(raw);
    for (const source of sources) {
      if (source.hint && !source.hint.test(line)) continue;
      const found = read(source, line, raw);
      if (found) return found;
    }
    return barHint.test(line) && barMovedOn(raw) ? barMoved : none;
  };
}

const readSaid: LineReader = (line) => {
  const found = readExplicit(line);
  return found.length > 0 ? found : undefined;
};

/** The explicit heartbeats of one line. */
export const parseHeartbeats = (line: string): Heartbeat[] =>
  explicitHint.test(line) ? readExplicit(line) : [];

const readerOf =
  (user: NonNullable<ReaderOptions['user']>): LineReader =>
  (line) => {
    const groups = user(line);
    return groups && readGroups(groups);
  };

/** An object's keys that have a value; undefined if none has. */
function defined<T extends object>(values: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } | undefined {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return entries.length === 0
    ? undefined
    : (Object.fromEntries(entries) as { [Key in keyof T]?: Exclude<T[Key], undefined> });
}
