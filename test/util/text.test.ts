import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { formatBytes, formatCount, nearest, plural, shellWord } from '../../src/util/text.js';

describe('formatCount', () => {
  for (const [n, text] of [
    [0, '0'],
    [999, '999'],
    [1240, '1,240'],
    [-1240, '-1,240'],
    [1_234_567, '1,234,567'],
    [1234.5678, '1,234.5678'],
  ] as const) {
    it(text, () => assert.equal(formatCount(n), text));
  }
});

describe('formatBytes', () => {
  for (const [bytes, text] of [
    [0, '0 B'],
    [512, '512 B'],
    [1024, '1.0 KiB'],
    [34_252_574_105, '31.9 GiB'],
    [5 * 1024 ** 5, '5.0 PiB'],
    [5 * 1024 ** 6, '5120.0 PiB'],
  ] as const) {
    it(`${bytes} is ${text}`, () => assert.equal(formatBytes(bytes), text));
  }
});

describe('plural', () => {
  it('says one, none, many, and a word of its own', () => {
    assert.deepEqual(
      [plural(1, 'attempt'), plural(0, 'attempt'), plural(2000, 'attempt'), plural(2, 'retry', 'retries')],
      ['1 attempt', '0 attempts', '2,000 attempts', '2 retries'],
    );
  });
});

describe('nearest', () => {
  const flags = ['--max-retries', '--backoff-initial', '--backoff-max', '--name'];
  it('finds what was meant', () => {
    assert.equal(nearest('--max-retrys', flags), '--max-retries');
    assert.equal(nearest('--BACKOFF-MAX', flags), '--backoff-max');
    assert.equal(nearest('--nam', flags), '--name');
  });
  it('prefers the nearer one', () =>
    assert.equal(nearest('--backoff-mx', ['--backoff-min', '--backoff-max']), '--backoff-max'));
  it('does not guess', () => {
    assert.equal(nearest('--verbose', flags), undefined);
    assert.equal(nearest('xy', ['ab']), undefined);
    assert.equal(nearest('anything', []), undefined);
  });
});

describe('shellWord', () => {
  for (const word of [
    '/a/b.pem',
    'http://127.0.0.1:8471',
    "o d'd ä$x/`y`",
    '[::1]',
    '~/a',
    '',
    '*',
    'a\\b',
  ]) {
    it(`a shell reads ${JSON.stringify(word)}`, () => {
      const said = execFileSync('/bin/sh', ['-c', `printf %s ${shellWord(word)}`], { encoding: 'utf8' });
      assert.equal(said, word);
    });
  }

  it('quotes nothing without need', () => assert.equal(shellWord('/a/b.pem'), '/a/b.pem'));
});
