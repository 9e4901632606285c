import type { StatusOptions } from './status.js';

export interface StatusArguments {
  readonly name: string | undefined;
  readonly options: StatusOptions;
}

/** Flags without a value, and what they make of the options. */
const plain: Readonly<Record<string, Partial<StatusOptions>>> = {
  '--json': { json: true },
  '--quiet': { quiet: true },
  '--no-color': { color: false },
  '--exit-code': { exitCode: true },
};

const valued: Readonly<Record<string, keyof StatusOptions>> = {
  '--config': 'config',
  '--state-dir': 'stateDir',
};

/**
 * Reads a plain call of `status`, as the whole tree of verbs would. A test holds the two equal.
 * @param words what the user typed
 * @returns undefined for any other verb, and for anything unusual: the whole tree says what is wrong with it
 */
export function statusArguments(words: readonly string[]): StatusArguments | undefined {
  if (words[0] !== 'status') return undefined;
  let name: string | undefined;
  let options: StatusOptions = { color: true };
  for (let at = 1; at < words.length; at++) {
    const word = words[at] ?? '';
    if (!word.startsWith('-')) {
      if (name !== undefined || word === '') return undefined;
      name = word;
    } else if (Object.hasOwn(plain, word)) {
      options = { ...options, ...plain[word] };
    } else {
      const equals = word.indexOf('=');
      const key = valued[equals < 0 ? word : word.slice(0, equals)];
      const value = equals < 0 ? words[++at] : word.slice(equals + 1);
      if (key === undefined || value === undefined || value === '' || value.startsWith('-')) return undefined;
      options = { ...options, [key]: value };
    }
  }
  return { name, options };
}
