import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeep, saveInterval, type DepthQuestion } from '../../src/checkpoints/verify/depth.js';
import { otherBytes } from '../../src/checkpoints/verify/against.js';

const gib = 1024 ** 3;
const minute = 60_000;

const cases: readonly [string, Partial<DepthQuestion>, boolean][] = [
  ['deep is deep', { mode: 'deep', bytes: 1e15 }, true],
  ['shallow is shallow', { mode: 'shallow', bytes: 0 }, false],
  ['up to 20 GiB', { bytes: 20 * gib }, true],
  ['beyond, of an unknown interval', { bytes: 20 * gib + 1 }, false],
  // 100 GiB take 205 s at 500 MiB/s
  ['beyond, in under a tenth of the interval', { bytes: 100 * gib, saveIntervalMs: 35 * minute }, true],
  ['beyond, in more than a tenth of it', { bytes: 100 * gib, saveIntervalMs: 30 * minute }, false],
  [
    'a slow file system counts',
    { bytes: 100 * gib, saveIntervalMs: 35 * minute, readBytesPerS: 100e6 },
    false,
  ],
  [
    'one faster than what one core checks does not',
    { bytes: 100 * gib, saveIntervalMs: 30 * minute, readBytesPerS: 1e12 },
    false,
  ],
];
for (const [name, question, deep] of cases) {
  test(`verify: ${name}`, () => assert.equal(isDeep({ mode: 'auto', bytes: 0, ...question }), deep));
}

test('the save interval is the median of the last ones', () => {
  assert.equal(saveInterval([]), undefined);
  assert.equal(saveInterval([5]), undefined);
  assert.equal(saveInterval([0, 7]), 7);
  assert.equal(saveInterval([0, 10, 20, 10_000, 10_010, 10_020]), 10, 'a night between two runs');
  assert.equal(saveInterval([...Array(20).keys()].map((i) => (i < 10 ? i : 10 + 100 * (i - 10)))), 100);
});

test('bytes are held against what was recorded, file by file and like by like', () => {
  const recorded = [
    { path: 'a', digest: 'xxh3-64:1' },
    { path: 'b', digest: 'xxh3-64:2' },
    { path: 'c' },
    { path: 'd', digest: 'sha256:4' },
  ];
  const seen = new Map(Object.entries({ a: 'xxh3-64:1', b: 'xxh3-64:2', c: 'xxh3-64:3', d: 'xxh3-64:5' }));
  assert.equal(otherBytes(recorded, seen), undefined);
  assert.equal(otherBytes(recorded, new Map()), undefined, 'nothing was read');
  assert.match(otherBytes(recorded, new Map([['b', 'xxh3-64:9']])) ?? '', /^b: its bytes are not those/);
});
