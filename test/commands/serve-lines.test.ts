import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WorkerLines } from '../../src/commands/serve-lines.js';
import type { RecoveryEvent } from '../../src/recovery/types.js';

const failed = (
  workerId: string,
  reason = 'it is gone',
  failureCount = 1,
): Extract<RecoveryEvent, { type: 'failed' }> => ({
  type: 'failed',
  at: 0,
  reason,
  worker: {
    workerId,
    status: 'failed',
    lastCheckpoint: null,
    failureCount,
    lastHeartbeat: 0,
    currentBatch: 0,
  },
});

test('what a worker gives as its reason moves no cursor, breaks no line and is cut', () => {
  const [line] = new WorkerLines().add(
    failed('a', `\x1b[2J\x1b]0;x\x07\nfake line\u2028${'y'.repeat(5000)}`),
  );
  assert.match(line?.text ?? '', /^worker a failed .*\\x1b\[2J\\x1b\]0;x\\x07\\x0afake line\\u2028y+…$/);
  assert.ok((line?.text.length ?? 0) < 400);
});

const sums: readonly [string, readonly string[], string][] = [
  ['many', ['a', 'b', 'c', 'd', 'e'], '5 more workers failed: a, b, c and 2 others'],
  [
    'one of them again and again',
    Array.from({ length: 1408 }, () => 'a'),
    '1 worker failed 1,408 more times: a',
  ],
  ['some of them twice', ['a', 'b', 'a'], '2 workers failed 3 more times: a, b'],
];
for (const [what, ids, text] of sums) {
  test(`what is not told singly is summed up: ${what}`, () => {
    const lines = new WorkerLines();
    for (let n = 0; n < 5; n++) assert.equal(lines.add(failed('told')).length, 1);
    for (const id of ids) assert.deepEqual(lines.add(failed(id)), []);
    assert.deepEqual(lines.flush(), [{ tone: 'failure', text }]);
    assert.deepEqual(lines.flush(), []);
  });
}

test('that a worker is told to stop for good is told of each, once, and how to let it go on', () => {
  const lines = new WorkerLines(() => 3);
  for (let n = 0; n < 6; n++) lines.add(failed('told', 'it is gone', 3));
  for (const id of ['a', 'b']) {
    assert.deepEqual(lines.add(failed(id, 'it is gone', 4)), [
      {
        tone: 'failure',
        text: `worker ${id} failed (its 4 failures so far): it is gone; it is told to stop: it failed more than 3 times (to let it go on DELETE /v1/workers/${id} and register it again, or raise the limit: --max-failures, or maxFailures of its own)`,
      },
    ]);
  }
  assert.deepEqual(lines.add(failed('a', 'it is gone', 5)), []);
  assert.deepEqual(lines.flush(), [{ tone: 'failure', text: '2 more workers failed: told, a' }]);
});

test('a worker that was let go on and goes beyond again is told of again', () => {
  const lines = new WorkerLines(() => 0);
  const event = failed('a');
  for (let n = 0; n < 6; n++) lines.add(failed('told'));
  assert.match(lines.add(event)[0]?.text ?? '', /told to stop/);
  lines.add({ type: 'unregistered', at: 0, worker: event.worker });
  assert.match(lines.add(event)[0]?.text ?? '', /told to stop/);
});

test('where nobody is told to stop nothing says so', () => {
  const [line] = new WorkerLines().add(failed('a', 'it is gone', 100));
  assert.equal(line?.text, 'worker a failed (its 100 failures so far): it is gone');
});
