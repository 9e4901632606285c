import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deepestNesting, JsonSyntax } from '../../src/recovery/json-syntax.js';

/** What it says of a text that comes in pieces of so many bytes. */
function verdict(bytes: Uint8Array, piece = bytes.length || 1): string | undefined {
  const syntax = new JsonSyntax();
  for (let at = 0; at < bytes.length; at += piece) {
    const why = syntax.write(bytes.subarray(at, at + piece));
    if (why !== undefined) return why;
  }
  return syntax.end();
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What Node itself says. */
function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(decoder.decode(bytes));
    return true;
  } catch {
    return false;
  }
}

const sample = ` {"a":[1,-0,0.5,-1.25e+10,1E5,true,false,null,"",{}],"é😀\\u00e9\\n\\"":{"b":[[],[{}]]},"\u2028":"\x7f"}\r\n\t`;

test('it says of every text what JSON.parse says, wherever its pieces end', () => {
  const whole = Buffer.from(sample);
  assert.ok(isJson(whole));
  const interesting = Buffer.from(
    '{}[],:"\\0129.eE+-tfnu \n\x00\x1f\x7f\x80\xa0\xbf\xc2\xe0\xed\xf0\xf4\xff',
    'latin1',
  );
  let valid = 0;
  let seen = 0;
  const agree = (bytes: Buffer): void => {
    seen++;
    const expected = isJson(bytes);
    if (expected) valid++;
    for (const piece of [1, bytes.length || 1])
      assert.equal(
        verdict(bytes, piece) === undefined,
        expected,
        `${JSON.stringify(bytes.toString('latin1'))} by ${piece}`,
      );
  };
  for (let at = 0; at <= whole.length; at++) {
    agree(whole.subarray(0, at));
    for (const byte of interesting) {
      const changed = Buffer.from(whole);
      if (at < whole.length) changed[at] = byte;
      agree(changed);
      agree(Buffer.concat([whole.subarray(0, at), Buffer.of(byte), whole.subarray(at)]));
    }
    agree(Buffer.concat([whole.subarray(0, at), whole.subarray(at + 1)]));
  }
  assert.ok(seen > 5000 && valid > 300, `${valid} of ${seen} were JSON`);
});

test('every two bytes in a string are judged as UTF-8 is, and every number as JSON has it', () => {
  for (let first = 0; first < 256; first++)
    for (let second = 0; second < 256; second++) {
      const bytes = Buffer.of(0x22, first, second, 0x80, 0x80, 0x22);
      assert.equal(verdict(bytes) === undefined, isJson(bytes), bytes.toString('hex'));
    }
  for (const text of [
    '01',
    '-',
    '1.',
    '.5',
    '1e',
    '1e+',
    '--1',
    '+1',
    '0x1',
    '1.5.5',
    '-01',
    '1e5.5',
    '1e999',
    '-0.0E-0',
  ])
    assert.equal(verdict(Buffer.from(text)) === undefined, isJson(Buffer.from(text)), text);
});

const refused: readonly [string, RegExp][] = [
  ['', /^it is empty$/],
  [' \n', /^it ends too early/],
  ['{"a":NaN}', /^it has NaN or Infinity, which JSON cannot hold, at byte 5$/],
  ['[-Infinity]', /^it has NaN or Infinity, .* at byte 2$/],
  ['{} {}', /^there is more after its end, at byte 3$/],
  ['1 2', /^there is more after its end/],
  ['{}}', /^there is more after its end/],
  ['{"a":1,}', /^a key in quotes is missing at byte 7$/],
  ["{'a':1}", /^a key in quotes is missing/],
  ['[1,]', /^a value is missing at byte 3$/],
  ['[1 2]', /^a comma or a closing bracket is missing/],
  ['{"a" 1}', /^a colon is missing/],
  ['{"a":1]', /^a bracket of the wrong kind closes/],
  ['["a\nb"]', /^a string has a control character/],
  ['["\\x41"]', /^a string has an escape that JSON does not know/],
  ['[trux]', /^it has a word that JSON does not know/],
  ['[01]', /^a number is not written as JSON has it/],
  ['\ufeff{}', /^a value is missing at byte 0$/],
];
for (const [text, expected] of refused)
  test(`why it is no JSON is said: ${JSON.stringify(text)}`, () => {
    assert.match(verdict(Buffer.from(text)) ?? 'it passed', expected);
  });

test('a key may come twice, as the RFC lets it', () => {
  assert.equal(verdict(Buffer.from('{"a":1,"a":2}')), undefined);
});

test('nesting is bounded', () => {
  const nested = (depth: number): Buffer => Buffer.from('['.repeat(depth) + ']'.repeat(depth));
  assert.equal(verdict(nested(deepestNesting)), undefined);
  assert.match(verdict(nested(deepestNesting + 1)) ?? '', /^it is nested more than 500 deep/);
});
