import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatDuration, parseDuration } from '../../src/util/duration.js';

describe('parseDuration', () => {
  const good: readonly (readonly [string | number, number])[] = [
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['90', 90_000],
    [90, 90_000],
    [0, 0],
    ['1.5s', 1500],
    [0.25, 250],
    [' 10 s ', 10_000],
  ];
  for (const [text, ms] of good) {
    it(`${JSON.stringify(text)} is ${ms} ms`, () => assert.equal(parseDuration(text), ms));
  }

  for (const text of [
    '',
    ' ',
    '-1',
    -1,
    '5 minutes',
    '5M',
    '1h30m',
    's',
    '1e3',
    '.5s',
    'Infinity',
    Number.NaN,
  ]) {
    it(`${JSON.stringify(text)} is none`, () => assert.equal(parseDuration(text), undefined));
  }
});

describe('formatDuration', () => {
  const cases: readonly (readonly [number, string])[] = [
    [-5, '0 ms'],
    [0, '0 ms'],
    [850, '850 ms'],
    [999, '999 ms'],
    [999.4, '999 ms'],
    [1000, '1 s'],
    [10_800, '10.8 s'],
    [29_999, '29.9 s'],
    [30_400, '30 s'],
    [59_999, '59 s'],
    [60_000, '1m 00s'],
    [751_000, '12m 31s'],
    [3_599_999, '59m 59s'],
    [3_600_000, '1h 00m'],
    [10_920_000, '3h 02m'],
    [47 * 3_600_000, '47h 00m'],
    [102 * 3_600_000, '4d 06h'],
  ];
  for (const [ms, text] of cases) it(`${ms} ms is ${text}`, () => assert.equal(formatDuration(ms), text));
});
