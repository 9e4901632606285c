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
