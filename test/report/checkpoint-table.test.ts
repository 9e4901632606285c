import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkpointTable, type CheckpointRow } from '../../src/report/checkpoint-table.js';

const row = (change: Partial<CheckpointRow>): CheckpointRow => ({
  ...{ id: 'step-10', standing: 'verified', step: 10, sizeBytes: 2048, ageMs: 60_000 },
  ...{ spare: false, pinned: false, why: 'every byte was read' },
  ...change,
});

test('columns line up, numbers to the right; what nobody has is left out', () => {
  const { step: _none, ...stepless } = row({ id: 'last.ckpt', standing: 'safe' });
  assert.deepEqual(checkpointTable([row({}), row({ id: 'step-2000', step: 2000 }), stepless], { metric: 'loss' }), [
    'checkpoint  standing   step     size     age  why',
    'step-10     verified     10  2.0 KiB  1m 00s  every byte was read',
    'step-2000   verified  2,000  2.0 KiB  1m 00s  every byte was read',
    'last.ckpt   safe          -  2.0 KiB  1m 00s  every byte was read',
  ]); // prettier-ignore
});

test('metric and marks have their columns where any checkpoint has one', () => {
  const rows = [row({ metric: 0.123456789 }), row({ id: 'ckpt@20', spare: true, pinned: true })];
  assert.deepEqual(checkpointTable(rows, { metric: 'val_loss' }), [
    'checkpoint  standing  step     size     age  val_loss                 why',
    'step-10     verified    10  2.0 KiB  1m 00s   0.12346                 every byte was read',
    'ckpt@20     verified    10  2.0 KiB  1m 00s         -  spare, pinned  every byte was read',
  ]);
});

test('only the last column is shortened, to the width of the terminal, and never without one', () => {
  const rows = [row({ why: 'x'.repeat(200) })];
  const [, narrow = ''] = checkpointTable(rows, { metric: 'loss', width: 80 });
  assert.equal(narrow.length, 80);
  assert.match(narrow, /^step-10 .* x+…$/);
  assert.match(checkpointTable(rows, { metric: 'loss', width: 10 })[1] ?? '', / x{11}…$/, 'a little stays');
  assert.match(checkpointTable(rows, { metric: 'loss' })[1] ?? '', / x{200}$/);
});

test('control characters and writing directions are told by their codes', () => {
  const [, line] = checkpointTable([row({ id: 'a\x1b[2J\r\nb\u202e', why: '\x07' })], { metric: 'loss' });
  assert.match(line ?? '', /^a\\x1b\[2J\\x0d\\x0ab\\u202e .* \\x07$/);
});
