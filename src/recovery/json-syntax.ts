import { actions, numberEnds, stateNamed, states, table } from './json-syntax-table.js';

/** Deeper than this nothing is taken: Python's json module gives up at about 1,000 levels. */
export const deepestNesting = 500;

const OBJECT = 1;
const ARRAY = 2;
const string = stateNamed('string');
const value = stateNamed('value');
const next = stateNamed('next');
const mayEnd = new Set(['next', ...numberEnds].map(stateNamed));

/**
 * Tells whether a text is JSON (RFC 8259, in UTF-8, without a byte order mark) while it goes by, keeping none of it. An
 * object may bear a key twice, as the RFC lets it: whoever reads it takes the last.
 */
export class JsonSyntax {
  #state = value;
  /** What the place lies in, the outermost first. */
  readonly #within = new Uint8Array(deepestNesting);
  #depth = 0;
  /** In an object: a string is a key. */
  #beforeColon = false;
  #offset = 0;

  /** Takes the next bytes. @returns why it is no JSON; it must not be called after that */
  write(bytes: Uint8Array): string | undefined {
    let state = this.#state;
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i] ?? 0;
      const to = table[state * 256 + byte] ?? actions.fail;
      if (to < actions.openObject) {
        state = to;
        continue;
      }
      const after = to === actions.fail ? wrong(state, byte, this.#depth) : this.#act(to);
      if (typeof after === 'string') return `${after} at byte ${this.#offset + i}`;
      state = after;
    }
    this.#state = state;
    this.#offset += bytes.length;
    return undefined;
  }

  /** There is no more. @returns why it is no JSON */
  end(): string | undefined {
    if (this.#offset === 0) return 'it is empty';
    const whole = this.#depth === 0 && mayEnd.has(this.#state);
    return whole ? undefined : `it ends too early, at byte ${this.#offset}`;
  }

  /** @returns the next state, or why it is no JSON */
  #act(action: number): number | string {
    const within = this.#depth === 0 ? 0 : this.#within[this.#depth - 1];
    switch (action) {
      case actions.openObject:
        this.#beforeColon = true;
        return this.#open(OBJECT, 'keyOrEnd');
      case actions.openArray:
        return this.#open(ARRAY, 'valueOrEnd');
      case actions.closeObject:
        return this.#close(within === OBJECT);
      case actions.closeArray:
        return this.#close(within === ARRAY);
      case actions.comma:
        if (within === 0) return moreAfterEnd;
        this.#beforeColon = true;
        return within === OBJECT ? stateNamed('key') : value;
      case actions.colon:
        this.#beforeColon = false;
        return value;
      default: // the end of a string
        return within === OBJECT && this.#beforeColon ? stateNamed('colon') : next;
    }
  }

  #open(what: number, then: string): number | string {
    if (this.#depth === deepestNesting) return `it is nested more than ${deepestNesting} deep`;
    this.#within[this.#depth++] = what;
    return stateNamed(then);
  }

  #close(matches: boolean): number | string {
    if (this.#depth === 0) return moreAfterEnd;
    if (!matches) return 'a bracket of the wrong kind closes';
    this.#depth--;
    return next;
  }
}

const moreAfterEnd = 'there is more after its end,';

const missing: Readonly<Record<string, string>> = {
  value: 'a value is missing',
  valueOrEnd: 'a value is missing',
  key: 'a key in quotes is missing',
  keyOrEnd: 'a key in quotes is missing',
  colon: 'a colon is missing',
  next: 'a comma or a closing bracket is missing',
};

/** Why a byte cannot stand here. */
function wrong(state: number, byte: number, depth: number): string {
  const name = states[state] ?? '';
  const letter = String.fromCharCode(byte);
  if (state === next && depth === 0) return moreAfterEnd;
  if ((/^value/.test(name) && /[NI]/.test(letter)) || (name === 'minus' && letter === 'I'))
    return 'it has NaN or Infinity, which JSON cannot hold,';
  if (state === string) return byte < 0x20 ? 'a string has a control character' : 'it is no UTF-8';
  if (/^(tail|after)/.test(name)) return 'it is no UTF-8';
  if (/^(escape|hex)/.test(name)) return 'a string has an escape that JSON does not know';
  if (/^(tr?u?|fa?l?s?|nu?l?)$/.test(name)) return 'it has a word that JSON does not know';
  return missing[name] ?? 'a number is not written as JSON has it';
}
