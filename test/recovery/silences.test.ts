import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Now, WorkerTable } from '../../src/recovery/worker-table.js';

const after = (ms: number): Now => ({ at: 1_700_000_000_000 + ms, mono: ms });

/** A worker that may not fail once, and was silent for its timeout. */
function silent(maxFailures = 0): WorkerTable {
  const table = new WorkerTable({ heartbeatTimeoutMs: 10_000, maxFailures });
  table.monitor(true, after(0));
  table.register('w', {}, {}, null, after(0));
  for (let ms = 0; ms <= 10_000; ms += 50) table.tick(after(ms));
  assert.equal(table.get('w')?.failureCount, 1);
  return table;
}

/** Failures, status, and whether it is to go on. */
const beat = (table: WorkerTable, unreachedSeconds?: number, ms = 12_000): unknown[] => {
  const { answer } = table.beat('w', { unreachedSeconds }, after(ms));
  return [table.get('w')?.failureCount, answer.status, answer.shouldContinue];
};

test('a failure that was counted while the line was cut is taken back, and the worker goes on', () => {
  const table = silent();
  assert.deepEqual(beat(table, 9), [0, 'recovered', true]);
  assert.deepEqual(beat(table), [0, 'active', true]);
});

test('it is taken back once', () => {
  const table = silent();
  table.fail('w', 'said so', after(11_000));
  assert.deepEqual(beat(table, 9), [1, 'failed', false]);
  assert.deepEqual(beat(table, 9), [1, 'failed', false]);
});

test('what was sent into the cut line and comes late takes nothing away from it', () => {
  const table = silent(1);
  assert.deepEqual(beat(table, undefined, 11_000), [1, 'recovered', true]);
  assert.deepEqual(beat(table, 9), [0, 'active', true]);
});

test('a failure from before the line was cut stays', () => {
  assert.deepEqual(beat(silent(), 1.9), [1, 'failed', false]);
});

test('what someone marked failed stays, and what is not said takes nothing back', () => {
  const marked = new WorkerTable({ heartbeatTimeoutMs: 10_000, maxFailures: 3 });
  marked.register('w', {}, {}, null, after(0));
  marked.fail('w', 'said so', after(11_000));
  assert.deepEqual(beat(marked, 9), [1, 'recovered', true]);
  assert.deepEqual(beat(silent(), undefined, 10_000), [1, 'failed', false]);
});

test('who was unregistered begins anew', () => {
  const table = silent();
  table.remove('w', after(11_000));
  table.register('w', {}, {}, null, after(11_000));
  assert.deepEqual(beat(table, 9), [0, 'active', true]);
});
