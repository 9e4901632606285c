import { nearest } from '../util/text.js';

/** What a field may hold. */
export interface FieldRule {
  readonly type: 'number' | 'string';
  /** How a message says it: `a number of seconds above 0`. */
  readonly allowed: string;
  readonly holds: (value: never) => boolean;
}

const number = (allowed: string, holds: (value: number) => boolean): FieldRule => ({
  type: 'number',
  allowed,
  holds,
});

/** 24 days, as everywhere where a time is set. */
const longestSeconds = 24 * 86_400;

export const secondsAboveZero = number(
  `a number of seconds above 0, up to ${longestSeconds} (24 days)`,
  (value) => value > 0 && value <= longestSeconds,
);

export const secondsFromZero = number('a number of seconds from 0 on', (value) => value >= 0);

export const wholeFrom = (least: number): FieldRule =>
  number(`a whole number from ${least} on`, (value) => Number.isSafeInteger(value) && value >= least);

export const path: FieldRule = {
  type: 'string',
  allowed: 'a path',
  holds: (value: string) => value !== '' && !value.includes('\0'),
};

/**
 * Holds a caller's object to the fields that it may have. A field that is undefined counts as left out.
 * @param what names it in messages: `the options of RecoveryManager`
 * @throws TypeError an unknown field, or a value of another type; RangeError a value that is not allowed
 */
export function checkFields(
  what: string,
  given: unknown,
  rules: Readonly<Record<string, FieldRule>>,
): asserts given is object {
  if (!isRecord(given)) throw new TypeError(`${what} are an object, not ${shown(given)}`);
  for (const [field, value] of Object.entries(given)) {
    const rule = Object.hasOwn(rules, field) ? rules[field] : undefined;
    if (rule === undefined) throw new TypeError(unknownField(what, field, Object.keys(rules)));
    if (value !== undefined) checkField(field, value, rule);
  }
}

/** @throws TypeError, RangeError as above */
export function checkField(field: string, value: unknown, rule: FieldRule): void {
  const message = `${field} is ${rule.allowed}, not ${shown(value)}`;
  if (typeof value !== rule.type) throw new TypeError(message);
  if (!rule.holds(value as never)) throw new RangeError(message);
}

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function unknownField(what: string, field: string, known: readonly string[]): string {
  const near = nearest(field, known);
  const way = near === undefined ? `there are ${known.join(', ')}` : `did you mean ${near}?`;
  return `${what} have no ${JSON.stringify(field.slice(0, 40))}: ${way}`;
}

/** A value as a message may bear it. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 40));
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
