import { deepestNesting } from './json-syntax.js';

/** Whoever loads it takes it for none. */
export const isNull = 'is null, which would be taken for no checkpoint; save an object, {} say';

/**
 * Writes a state as JSON that reads back as exactly the same: -0, the order of keys and keys such as `__proto__` too. An
 * object's field that is undefined is left out, as JSON.stringify does.
 * @throws TypeError for null, and for what JSON cannot hold, with its path: `state.optimizer.lr is NaN, which JSON cannot hold`
 */
export function stateToJson(state: unknown): string {
  if (state === null) throw new TypeError(`state ${isNull}`);
  const pieces: string[] = [];
  write(state, { key: 'state', within: undefined, object: undefined, depth: 0 }, pieces);
  return pieces.join('');
}

/** Where in the state a value lies; its path is only made when there is something to say. */
interface Place {
  readonly key: string | number;
  readonly within: Place | undefined;
  /** The object or array that `key` is of. */
  readonly object: object | undefined;
  readonly depth: number;
}

function write(value: unknown, place: Place, pieces: string[]): void {
  switch (typeof value) {
    case 'string':
      pieces.push(JSON.stringify(value));
      return;
    case 'boolean':
      pieces.push(value ? 'true' : 'false');
      return;
    case 'number':
      if (!Number.isFinite(value)) throw cannotHold(place, `is ${value}`);
      pieces.push(Object.is(value, -0) ? '-0' : String(value));
      return;
    case 'bigint':
      throw cannotHold(place, 'is a BigInt', '; save it as text');
    case 'object':
      if (value === null) pieces.push('null');
      else writeObject(value, place, pieces);
      return;
    default:
      throw cannotHold(place, value === undefined ? 'is undefined' : `is a ${typeof value}`);
  }
}

function writeObject(value: object, place: Place, pieces: string[]): void {
  if (place.depth === deepestNesting)
    throw new TypeError(`${pathOf(place).slice(0, 60)}… is nested more than ${deepestNesting} deep`);
  for (let at: Place | undefined = place; at; at = at.within)
    if (at.object === value) throw cannotHold(place, 'contains itself');
  const within = (key: string | number): Place => ({
    key,
    within: place,
    object: value,
    depth: place.depth + 1,
  });
  if (Array.isArray(value)) {
    pieces.push('[');
    for (let i = 0; i < value.length; i++) {
      if (i > 0) pieces.push(',');
      write(value[i], within(i), pieces);
    }
    pieces.push(']');
    return;
  }
  if (!isPlain(value))
    throw cannotHold(
      place,
      `is a ${className(value)}`,
      '; save a plain object, an array or text in its place',
    );
  let first = true;
  pieces.push('{');
  for (const [key, member] of Object.entries(value)) {
    if (member === undefined) continue;
    pieces.push(first ? '' : ',', JSON.stringify(key), ':');
    write(member, within(key), pieces);
    first = false;
  }
  pieces.push('}');
}

/** An object without a class; one of another realm (`vm`) too. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function className(value: object): string {
  const { constructor } = value as { constructor?: unknown };
  return typeof constructor === 'function' && constructor.name !== ''
    ? constructor.name
    : 'object of a class';
}

const cannotHold = (place: Place, is: string, wayOut = ''): TypeError =>
  new TypeError(`${pathOf(place)} ${is}, which JSON cannot hold${wayOut}`);

function pathOf({ key, within }: Place): string {
  if (!within) return String(key);
  if (typeof key === 'number') return `${pathOf(within)}[${key}]`;
  const named = /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
  return pathOf(within) + named;
}
