import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { mock, test, type TestContext } from 'node:test';
import type { WorkerState } from '../../src/recovery/types.js';
import { openWorkerJournal, type WorkerJournal } from '../../src/serve/worker-journal.js';
import { tempDir } from '../support/temp-dir.js';
import { detailOf, openApp } from './app-support.js';
import { beating } from './worker-journal-support.js';

/** From now on nothing more can be written. @returns makes room again */
async function fillDisk(t: TestContext): Promise<() => void> {
  const handle = await fs.open(tempDir(t));
  const prototype = Object.getPrototypeOf(handle) as { write: () => Promise<unknown> };
  await handle.close();
  const full = (): Promise<never> =>
    Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }));
  const write = mock.method(prototype, 'write', full);
  t.after(() => write.mock.restore());
  return () => write.mock.restore();
}

async function open(dir: string, notices: string[] = []): Promise<WorkerJournal> {
  const opened = await openWorkerJournal(dir, { onNotice: (text) => notices.push(text) });
  assert.ok(opened.ok);
  return opened.value;
}

test('heartbeats are heard and answered while the disk is full, which is said once', async (t) => {
  const dir = tempDir(t);
  const notices: string[] = [];
  const journal = await open(dir, notices);
  await journal.append([beating('a', 1), beating('b', 1)], true);
  const makeRoom = await fillDisk(t);
  await journal.append([beating('a', 2)], false);
  await journal.append([beating('a', 3), beating('c', 1)], false);
  await journal.append([{ type: 'gone', workerId: 'c' }], false);
  assert.equal(notices.length, 1);
  assert.match(notices[0]!, /no space left.*heartbeats count all the same, and are written later$/);
  await assert.rejects(journal.append([{ type: 'monitoring', monitoring: false }], true), { code: 'ENOSPC' });
  makeRoom();
  await journal.append([beating('b', 9)], false); // brings what the disk refused along
  const left = await openWorkerJournal(dir); // as after SIGKILL
  assert.ok(left.ok);
  const batches = left.value.remembered.workers.map(({ worker }) => [worker.workerId, worker.currentBatch]);
  assert.deepEqual(batches, [
    ['a', 3],
    ['b', 9],
  ]);
  assert.equal(left.value.remembered.monitoring, false);
  await left.value.close();
  await journal.close();
});

test('what the disk refused to the last is written at the end', async (t) => {
  const dir = tempDir(t);
  const journal = await open(dir);
  const makeRoom = await fillDisk(t);
  await assert.rejects(journal.append([beating('a', 4)], true), { code: 'ENOSPC' });
  makeRoom();
  await journal.close();
  const again = await open(dir);
  assert.equal(again.remembered.workers[0]?.worker.currentBatch, 4);
  await again.close();
});

test('a full disk: heartbeats get 200 and reach onBeat; one key counts one failure, however often it is sent', async (t) => {
  const beats: string[] = [];
  const { ask, close, dir } = await openApp(t, { onBeat: (workerId) => beats.push(workerId) });
  await ask('PUT', '/v1/workers/a');
  const makeRoom = await fillDisk(t);
  const beat = await ask('POST', '/v1/workers/a/heartbeat', { body: { currentBatch: 2 } });
  assert.deepEqual(beat.body, { workerId: 'a', shouldContinue: true, status: 'active' });
  assert.deepEqual(beats, ['a']);

  const fail = (reason = 'x'): ReturnType<typeof ask> =>
    ask('POST', '/v1/workers/a/failures', { body: { reason }, headers: { 'idempotency-key': 'k' } });
  for (let sent = 0; sent < 3; sent++) {
    const refused = await fail();
    assert.equal(refused.status, 507);
    assert.match(detailOf(refused), /no space left/);
  }
  assert.equal((await fail('y')).status, 422);
  makeRoom();
  const done = await fail();
  assert.equal((done.body as WorkerState).failureCount, 1);
  assert.equal(done.headers.get('idempotency-replayed'), 'true');
  await close();
  const next = await openApp(t, { dir });
  const known = (await next.ask('GET', '/v1/workers/a')).body as WorkerState;
  assert.deepEqual([known.failureCount, known.currentBatch], [1, 2]);
  const again = await next.ask('POST', '/v1/workers/a/failures', {
    body: { reason: 'x' },
    headers: { 'idempotency-key': 'k' },
  });
  assert.equal((again.body as WorkerState).failureCount, 1);
});

test('a disk that does not answer keeps no heartbeat from being heard', async (t) => {
  const { ask, manager } = await openApp(t);
  await ask('PUT', '/v1/workers/a');
  let heard = false;
  const taken = manager.takeHeartbeats([{ workerId: 'a' }], ([answer]) => (heard = answer!.shouldContinue));
  assert.ok(heard);
  await taken;
});
