import { nearest } from '../util/text.js';
import { isTable } from './parse.js';
import type { ConfigIssue } from './schema.js';

/**
 * What is wrong with a table of settings, in one sentence that names the key and the value, or what was meant.
 * @param data the table as it was given
 * @param schema its JSON schema
 */
export function issueText(data: unknown, issue: ConfigIssue, schema: unknown): string {
  const { path: where, unknownKey, message = 'is not valid' } = issue;
  if (unknownKey !== undefined) return unknownKeyText(schema, where, unknownKey);
  if (where.length === 0) return `${message}.`;
  return `${dotted(where)} ${message}, not ${shown(valueAt(data, where))}.`;
}

/** The place in the table that is meant. */
export const placeOf = ({ path, unknownKey }: ConfigIssue): ConfigIssue['path'] =>
  unknownKey === undefined ? path : [...path, unknownKey];

function unknownKeyText(schema: unknown, where: ConfigIssue['path'], key: string): string {
  const known = keysOf(schema, where);
  const elsewhere = leaves(schema).find((path) => path.at(-1)?.toLowerCase() === key.toLowerCase());
  const near = nearest(key, known);
  const meant = near === undefined ? elsewhere : [...where, near];
  const hint = meant === undefined ? `known here: ${known.join(', ')}` : `did you mean ${dotted(meant)}?`;
  return `there is no key ${dotted([...where, key])}; ${hint}${hint.endsWith('?') ? '' : '.'}`;
}

const shown = (value: unknown): string => {
  if (value === undefined) return 'left out';
  const text = typeof value === 'number' ? String(value) : JSON.stringify(upTo(3, value));
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
};

/** Someone may nest a value deeper than JSON.stringify reaches. */
function upTo(depth: number, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth === 0) return '…';
  if (Array.isArray(value)) return value.map((inner) => upTo(depth - 1, inner));
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, upTo(depth - 1, inner)]));
}

const dotted = (path: ConfigIssue['path']): string =>
  path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`))
    .join('');

/** What stands at a place of parsed data; undefined: nothing. */
export function valueAt(data: unknown, path: ConfigIssue['path']): unknown {
  let value = data;
  for (const part of path) {
    if (Array.isArray(value) && typeof part === 'number') value = value[part];
    else value = isTable(value) && typeof part === 'string' ? value[part] : undefined;
  }
  return value;
}

/** The keys that the schema knows at a path. */
function keysOf(schema: unknown, path: ConfigIssue['path']): string[] {
  let node = schema;
  for (const part of path) {
    node = typeof part === 'number' ? valueAt(node, ['items']) : valueAt(node, ['properties', part]);
  }
  const properties = valueAt(node, ['properties']);
  return isTable(properties) ? Object.keys(properties).filter((key) => key !== '$schema') : [];
}

function leaves(schema: unknown, path: readonly string[] = []): string[][] {
  return keysOf(schema, path).flatMap((key) => [[...path, key], ...leaves(schema, [...path, key])]);
}
