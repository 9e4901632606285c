import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { classify } from '../../src/failure/classify.js';
import { toLines } from '../../src/failure/log-lines.js';

describe('line numbers', () => {
  const text =
    'a\nb\nTraceback (most recent call last):\n  File "t.py", line 3, in f\n    g()\nKeyError: 1\n';
  const evidenceOf = (firstLine?: number): string | undefined =>
    classify({
      exit: { type: 'code', code: 1 },
      tails: [{ source: 'worker-0.err.log', text, ...(firstLine !== undefined && { firstLine }) }],
      host: {},
    }).evidence[0]?.source;

  test('are those of the file, where the tail knows its first', () => {
    assert.equal(evidenceOf(120_001), 'worker-0.err.log:120006');
  });

  test('are counted from the start of the tail otherwise', () => {
    assert.equal(evidenceOf(), 'worker-0.err.log:6');
  });

  test('count the lines that are left out in front', () => {
    const { lines, firstNumber } = toLines({ source: 'x', text: 'line\n'.repeat(6000), firstLine: 11 });
    assert.equal(lines.length, 5000);
    assert.equal(firstNumber, 1011);
  });
});

describe('what the Python client says is not what the training says', () => {
  const away = 'trainguard: http://127.0.0.1:1 cannot be reached ([Errno 111]); the training goes on\n';
  const reasonOf = (...texts: readonly string[]): string =>
    classify({
      exit: { type: 'code', code: 1 },
      tails: texts.map((text, n) => ({ source: `worker-${n}.log`, text })),
      host: {},
    }).reason;

  test('the last line is the one before', () => {
    const logged = `WARNING:trainguard:${away}`;
    assert.match(reasonOf(`out of luck\n${away}${logged}`), /; the last line says: out of luck$/);
  });

  test('or one in the other stream', () => {
    assert.match(reasonOf(away, 'step 3\n'), /; the last line says: step 3$/);
  });

  test('or there is none', () => {
    assert.match(reasonOf(away), /exit status 1 and without a word$/);
  });

  test('a line in which it is only named is the training’s', () => {
    assert.match(reasonOf('ValueError: no trainguard: install it\n'), /no trainguard: install it$/);
  });
});
