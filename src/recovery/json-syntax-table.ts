/** What is expected at a place in a JSON text. The names of states that are no one's but the table's are made below. */
export const states = [
  'value',
  /** After `[`. */
  'valueOrEnd',
  /** After `{`. */
  'keyOrEnd',
  'key',
  'colon',
  /** After a value: a comma, a closing bracket, or the end of all. */
  'next',
  'string',
  ...['escape', 'hex4', 'hex3', 'hex2', 'hex1'],
  // the rest of a character: how many bytes of any kind, or one whose range is narrower
  ...['tail1', 'tail2', 'tail3', 'afterE0', 'afterED', 'afterF0', 'afterF4'],
  ...['t', 'tr', 'tru', 'f', 'fa', 'fal', 'fals', 'n', 'nu', 'nul'],
  ...['minus', 'zero', 'digits', 'point', 'fraction', 'exponent', 'exponentSign', 'exponentDigits'],
] as const;

/** In place of a next state: what needs to be known of what lies around. */
export const actions = {
  openObject: 240,
  openArray: 241,
  closeObject: 242,
  closeArray: 243,
  comma: 244,
  colon: 245,
  endString: 246,
  /** It is no JSON. */
  fail: 255,
} as const;

export const stateNamed = (name: string): number => {
  const at = (states as readonly string[]).indexOf(name);
  if (at < 0) throw new Error(`no state ${name}`);
  return at;
};

/** The states in which a number may end. */
export const numberEnds = ['zero', 'digits', 'fraction', 'exponentDigits'];

/** The next state, or an action, at `state * 256 + byte`. */
export const table = makeTable();

function makeTable(): Uint8Array {
  const made = new Uint8Array(states.length * 256).fill(actions.fail);
  /** `bytes`: each of a text's, or a range. */
  const on = (from: string, bytes: string | readonly [number, number], to: string | number): void => {
    const target = typeof to === 'string' ? stateNamed(to) : to;
    const [first, last] = typeof bytes === 'string' ? [0, 0xff] : bytes;
    for (let byte = first; byte <= last; byte++)
      if (typeof bytes !== 'string' || bytes.includes(String.fromCharCode(byte)))
        made[stateNamed(from) * 256 + byte] = target;
  };

  for (const state of ['value', 'valueOrEnd', 'keyOrEnd', 'key', 'colon', 'next'])
    on(state, ' \t\n\r', state);
  for (const state of ['value', 'valueOrEnd']) {
    on(state, '"', 'string');
    on(state, '{', actions.openObject);
    on(state, '[', actions.openArray);
    on(state, '-', 'minus');
    on(state, '0', 'zero');
    on(state, '123456789', 'digits');
    for (const first of 'tfn') on(state, first, first);
  }
  on('valueOrEnd', ']', actions.closeArray);
  for (const state of ['key', 'keyOrEnd']) on(state, '"', 'string');
  on('keyOrEnd', '}', actions.closeObject);
  on('colon', ':', actions.colon);
  for (const state of ['next', ...numberEnds]) {
    on(state, ' \t\n\r', 'next');
    on(state, ',', actions.comma);
    on(state, '}', actions.closeObject);
    on(state, ']', actions.closeArray);
  }

  on('string', [0x20, 0x7f], 'string');
  on('string', '"', actions.endString);
  on('string', '\\', 'escape');
  on('escape', '"\\/bfnrt', 'string');
  on('escape', 'u', 'hex4');
  for (const left of [4, 3, 2, 1])
    on(`hex${left}`, '0123456789abcdefABCDEF', left > 1 ? `hex${left - 1}` : 'string');

  // UTF-8 as RFC 3629 has it: in its shortest form, without surrogates, up to U+10FFFF
  on('string', [0xc2, 0xdf], 'tail1');
  on('string', [0xe1, 0xef], 'tail2');
  on('string', [0xf1, 0xf3], 'tail3');
  for (const [lead, name] of [
    [0xe0, 'afterE0'],
    [0xed, 'afterED'],
    [0xf0, 'afterF0'],
    [0xf4, 'afterF4'],
  ] as const)
    on('string', [lead, lead], name);
  on('afterE0', [0xa0, 0xbf], 'tail1');
  on('afterED', [0x80, 0x9f], 'tail1');
  on('afterF0', [0x90, 0xbf], 'tail2');
  on('afterF4', [0x80, 0x8f], 'tail2');
  on('tail3', [0x80, 0xbf], 'tail2');
  on('tail2', [0x80, 0xbf], 'tail1');
  on('tail1', [0x80, 0xbf], 'string');

  for (const word of ['true', 'false', 'null'])
    for (let seen = 1; seen < word.length; seen++)
      on(word.slice(0, seen), word.charAt(seen), seen + 1 < word.length ? word.slice(0, seen + 1) : 'next');

  const digits = '0123456789';
  on('minus', '0', 'zero');
  on('minus', '123456789', 'digits');
  on('digits', digits, 'digits');
  for (const state of ['zero', 'digits']) on(state, '.', 'point');
  for (const state of ['zero', 'digits', 'fraction']) on(state, 'eE', 'exponent');
  for (const state of ['point', 'fraction']) on(state, digits, 'fraction');
  on('exponent', '+-', 'exponentSign');
  for (const state of ['exponent', 'exponentSign', 'exponentDigits']) on(state, digits, 'exponentDigits');
  return made;
}
