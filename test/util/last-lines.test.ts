import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { lastLinesOffset } from '../../src/util/os/last-lines.js';
import { tempDir } from '../support/temp-dir.js';

const long = 'x'.repeat(100_000);
const cases: readonly [string, number, string][] = [
  ['', 2, ''],
  ['a\nb\nc\n', 2, 'b\nc\n'],
  ['a\nb\nc', 2, 'b\nc'],
  ['a\nb\n', 2, 'a\nb\n'],
  ['a\n', 2, 'a\n'],
  ['\n\n\n', 2, '\n\n'],
  ['a\nb\nc\n', 1, 'c\n'],
  [`${long}\na\nb\n`, 2, 'a\nb\n'],
  [`${long}\nb\n`, 2, 'b\n'],
  [long, 2, long.slice(-64 * 1024)],
];
for (const [text, lines, last] of cases) {
  test(`the last ${lines} of ${JSON.stringify(text.slice(-20))}`, async (t) => {
    const file = path.join(tempDir(t), 'log');
    writeFileSync(file, text);
    assert.equal(text.slice(await lastLinesOffset(file, lines)), last);
  });
}

test('a file that is not there begins at its beginning', async (t) => {
  assert.equal(await lastLinesOffset(path.join(tempDir(t), 'log'), 2), 0);
});
