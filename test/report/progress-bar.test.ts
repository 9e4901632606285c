import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProgressBar, progressLine } from '../../src/report/progress-bar.js';

const GiB = 1024 ** 3;
const half = { bytes: GiB, of: 2 * GiB, elapsedMs: 4000 };

test('a line has bytes, rate and time left, and fits', () => {
  assert.equal(
    progressLine('restoring', half, 100),
    'restoring [###############...............]  50 %  1.0 GiB of 2.0 GiB  256.0 MiB/s  4 s left',
  );
  assert.equal(progressLine('restoring', half, 50), 'restoring   50 %  1.0 GiB of 2.0 GiB  256.0 MiB/s');
  for (let columns = 0; columns < 120; columns++) {
    const line = progressLine('restoring', half, columns);
    assert.ok(line.length <= columns, `${columns}: ${line}`);
    assert.doesNotMatch(line, /NaN|Infinity|undefined/);
  }
});

test('nothing yet, all of it, and nothing to do are lines too', () => {
  for (const done of [
    { bytes: 0, of: GiB, elapsedMs: 0 },
    { bytes: GiB, of: GiB, elapsedMs: 1 },
    { bytes: 0, of: 0, elapsedMs: 5 },
  ])
    assert.doesNotMatch(progressLine('x', done, 80), /NaN|Infinity|undefined|-/);
});

test('it is drawn once the work takes over two seconds, not more than ten times a second, and leaves nothing', () => {
  let now = 0;
  const written: string[] = [];
  const bar = new ProgressBar('x', {
    write: (text) => {
      written.push(text);
    },
    columns: () => 80,
    mono: () => now,
  });
  for (; now < 2000; now += 10) bar.update({ bytes: now, of: 4000 });
  bar.end();
  assert.equal(written.length, 0);
  for (; now < 4000; now += 10) bar.update({ bytes: now, of: 4000 });
  assert.equal(written.length, 20);
  const wrong = (text: string): boolean =>
    !text.startsWith('\r') || !text.endsWith('\u001b[K') || text.includes('\n') || text.length > 79 + 4;
  assert.deepEqual(written.filter(wrong), []);
  bar.end();
  assert.equal(written.at(-1), '\r\u001b[K');
});
