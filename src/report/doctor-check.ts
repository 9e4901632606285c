import { plural } from '../util/text.js';

/** `fail`: a run would not start, or would lose what it is there to save. `warn`: it may go worse than it needs to. */
export type Level = 'ok' | 'warn' | 'fail';

/** One thing that `doctor` looked at. */
export interface Check {
  /** What it is about, in a word or two: `command`, `state folder`. */
  readonly about: string;
  readonly level: Level;
  /** What was found, in one sentence. */
  readonly text: string;
  /** What to do about it. */
  readonly way?: string;
}

const checkOf =
  (level: Level) =>
  (about: string, text: string, way?: string): Check => ({
    about,
    level,
    text,
    ...(way !== undefined && { way }),
  });

export const fine = checkOf('ok');
export const warn = checkOf('warn');
export const fails = checkOf('fail');

/** What a list of checks comes to for a shell: 1 if something would fail. */
export const doctorStatus = (checks: readonly Check[]): 0 | 1 =>
  checks.some(({ level }) => level === 'fail') ? 1 : 0;

/**
 * The checks for people: all in order, then in short what would fail.
 * @param quiet only what is not all right
 */
export function doctorText(checks: readonly Check[], quiet: boolean): string {
  const shown = quiet ? checks.filter(({ level }) => level !== 'ok') : checks;
  const width = Math.max(0, ...shown.map(({ about }) => about.length));
  const line = ({ level, about, text, way }: Check): string =>
    [
      `${level.padEnd(4)}  ${about.padEnd(width)}  ${text}`,
      ...(way === undefined ? [] : way.split('\n').map((part) => `${' '.repeat(width + 8)}→ ${part}`)),
    ].join('\n');
  const failing = checks.filter(({ level }) => level === 'fail');
  const warnings = checks.filter(({ level }) => level === 'warn').length;
  const also = warnings === 0 ? '' : ` (${plural(warnings, 'warning')} above)`;
  const summary =
    failing.length === 0
      ? [`nothing would fail${also}`]
      : [`${plural(failing.length, 'thing')} would fail${also}:`, ...failing.map(line)];
  return `${[...shown.map(line), ...(shown.length > 0 ? [''] : []), ...summary].join('\n')}\n`;
}

/** The checks for programs (`--json`). */
export function doctorReport(checks: readonly Check[]): Record<string, unknown> {
  const count = (level: Level): number => checks.filter((check) => check.level === level).length;
  return {
    type: 'doctor',
    schemaVersion: 1,
    ok: doctorStatus(checks) === 0,
    failures: count('fail'),
    warnings: count('warn'),
    checks: checks.map(({ about, level, text, way }) => ({ about, level, text, way: way ?? null })),
  };
}
