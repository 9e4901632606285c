import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WorkerLines } from '../../src/commands/serve-lines.js';
import type { RecoveryEvent } from '../../src/recovery/types.js';

const failed = (workerId: string, reason = 'it is gone'): RecoveryEvent => ({
  type: 'failed',
  at: 0,
  reason,
  worker: {
    workerId,
    status: 'failed',
    lastCheckpoint: null,
    failureCount: 1,
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
