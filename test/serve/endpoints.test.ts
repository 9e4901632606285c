import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { UnknownWorkerError } from '../../src/recovery/arguments.js';
import type { Beat, SavedCheckpoint, WorkerState } from '../../src/recovery/types.js';
import { tempDir } from '../support/temp-dir.js';
import { detailOf, openApp } from './app-support.js';

const shown = ({ workerId, status, failureCount, currentBatch }: WorkerState): unknown[] => [
  workerId,
  status,
  failureCount,
  currentBatch,
];

test('a worker is registered, beats, fails, recovers, and leaves', async (t) => {
  const { ask } = await openApp(t);
  const at = '/v1/workers/gpu-0';
  const made = await ask('PUT', at, {
    body: { initialState: { currentBatch: 5, note: 'any' }, maxFailures: 1 },
  });
  assert.equal(made.status, 201);
  assert.deepEqual(shown(made.body as WorkerState), ['gpu-0', 'active', 0, 5]);
  assert.equal((await ask('PUT', at)).status, 200);

  const beat = async (): Promise<unknown> =>
    (await ask('POST', `${at}/heartbeat`, { body: { currentBatch: 6 } })).body;
  assert.deepEqual(await beat(), { workerId: 'gpu-0', shouldContinue: true, status: 'active' });
  const failed = await ask('POST', `${at}/failures`, { body: { reason: 'its node is gone' } });
  assert.deepEqual(shown(failed.body as WorkerState), ['gpu-0', 'failed', 1, 6]);
  assert.deepEqual(await beat(), { workerId: 'gpu-0', shouldContinue: true, status: 'recovered' });
  await ask('POST', `${at}/failures`);
  assert.deepEqual(await beat(), { workerId: 'gpu-0', shouldContinue: false, status: 'failed' });

  assert.equal((await ask('DELETE', at)).status, 204);
  for (const [method, target] of [
    ['DELETE', at],
    ['GET', at],
    ['POST', `${at}/failures`],
  ] as const) {
    const gone = await ask(method, target);
    assert.equal(gone.status, 404);
    assert.match(detailOf(gone), /no worker gpu-0; register it with PUT/);
  }
  assert.deepEqual(await beat(), { workerId: 'gpu-0', shouldContinue: false, status: null });
});

test('a worker that goes while it is marked failed is not found', async (t) => {
  const { ask, manager } = await openApp(t);
  manager.markWorkerFailed = (id) => Promise.reject(new UnknownWorkerError(id));
  assert.equal((await ask('POST', '/v1/workers/a/failures')).status, 404);
});

test('heartbeats of many are answered in their order; what else they hold is let pass', async (t) => {
  const beats: [string, Beat][] = [];
  const { ask } = await openApp(t, { onBeat: (workerId, beat) => beats.push([workerId, beat]) });
  await ask('PUT', '/v1/workers/a');
  await ask('PUT', '/v1/workers/b', { body: { maxFailures: 0 } });
  await ask('POST', '/v1/workers/b/failures');
  const heartbeats = [
    { workerId: 'b', currentBatch: 1 },
    { workerId: 'nobody', currentBatch: 1 },
    { workerId: 'a', currentBatch: 2, loss: 'NaN', phase: null, step: [1, { x: 'y' }] },
  ];
  const { body } = await ask('POST', '/v1/heartbeats', { body: { heartbeats } });
  assert.deepEqual(body, {
    answers: [
      { workerId: 'b', shouldContinue: false, status: 'failed' },
      { workerId: 'nobody', shouldContinue: false, status: null },
      { workerId: 'a', shouldContinue: true, status: 'active' },
    ],
  });
  await ask('POST', '/v1/workers/a/heartbeat', { body: { phase: 'eval' } });
  // who is told to stop was heard all the same
  assert.deepEqual(beats, [
    ['b', heartbeats[0]],
    ['a', heartbeats[2]],
    ['a', { workerId: 'a', phase: 'eval' }],
  ]);
  assert.deepEqual((await ask('POST', '/v1/heartbeats', { body: { heartbeats: [] } })).body, { answers: [] });
});

test('a heartbeat counts for the worker in its path, whatever its body says', async (t) => {
  const { ask } = await openApp(t);
  await ask('PUT', '/v1/workers/a');
  const { body } = await ask('POST', '/v1/workers/a/heartbeat', { body: { workerId: 'b', currentBatch: 3 } });
  assert.deepEqual(body, { workerId: 'a', shouldContinue: true, status: 'active' });
});

test('workers are listed by id, page by page, by status', async (t) => {
  const { ask } = await openApp(t);
  for (const id of ['b', 'B', 'a', 'c', '_']) await ask('PUT', `/v1/workers/${id}`);
  for (const id of ['a', 'c']) await ask('POST', `/v1/workers/${id}/failures`);
  const list = async (query: string): Promise<unknown> => {
    const { workers, next } = (await ask('GET', `/v1/workers${query}`)).body as {
      workers: WorkerState[];
      next: string | null;
    };
    return [workers.map(({ workerId }) => workerId).join(''), next];
  };
  assert.deepEqual(await list(''), ['B_abc', null]);
  assert.deepEqual(await list('?limit=2'), ['B_', '_']);
  assert.deepEqual(await list('?limit=2&after=_'), ['ab', 'b']);
  assert.deepEqual(await list('?limit=2&after=b'), ['c', null]);
  assert.deepEqual(await list('?limit=5'), ['B_abc', null]);
  assert.deepEqual(await list('?status=failed'), ['ac', null]);
  assert.deepEqual(await list('?status=failed&limit=1'), ['a', 'a']);
  assert.deepEqual(await list('?status=recovered'), ['', null]);
});

const sha256 = (text: string, form: 'hex' | 'base64'): string =>
  createHash('sha256').update(text).digest(form);

test('a checkpoint comes back byte by byte, with its digest and name', async (t) => {
  const { ask, dir } = await openApp(t);
  const state = '{ "step": 7,\n "weights": [0.1, -2e300] }';
  await ask('PUT', '/v1/workers/a');
  const headers = { 'content-digest': `sha-256=:${sha256(state, 'base64')}:` };
  const saved = await ask('POST', '/v1/workers/a/checkpoints', { body: state, headers });
  assert.equal(saved.status, 201);
  const checkpoint = saved.body as SavedCheckpoint;
  assert.equal(readFileSync(checkpoint.path, 'utf8'), state);
  assert.equal(path.dirname(checkpoint.path), path.join(dir, 'checkpoints/a'));
  assert.equal(checkpoint.sha256, sha256(state, 'hex'));
  const worker = (await ask('GET', '/v1/workers/a')).body as WorkerState;
  assert.equal(worker.lastCheckpoint, checkpoint.path);

  for (const method of ['GET', 'HEAD']) {
    const loaded = await ask(method, '/v1/workers/a/checkpoints/latest');
    assert.equal(loaded.text, method === 'GET' ? state : '');
    assert.equal(loaded.headers.get('content-digest'), headers['content-digest']);
    assert.equal(loaded.headers.get('content-length'), String(state.length));
    assert.equal(loaded.headers.get('trainguard-checkpoint'), path.basename(checkpoint.path));
    assert.equal(loaded.headers.get('trainguard-saved-at'), String(checkpoint.savedAt));
  }
});

test('a checkpoint that is refused leaves the one before it', async (t) => {
  const { ask, manager } = await openApp(t, { limits: { checkpointBytes: 100 } });
  await ask('POST', '/v1/workers/a/checkpoints', { body: '1' });
  const refused: [string, unknown, Record<string, string>, number, RegExp][] = [
    ['no JSON', '{"a":NaN}', {}, 400, /not JSON/],
    ['empty', '', {}, 400, /not JSON/],
    ['too large', JSON.stringify('x'.repeat(100)), {}, 413, /100/],
    ['damaged', '2', { 'content-digest': `sha-256=:${sha256('1', 'base64')}:` }, 422, /send it again/],
  ];
  for (const [name, body, headers, status, says] of refused) {
    const asked = await ask('POST', '/v1/workers/a/checkpoints', { body, headers });
    assert.equal(asked.status, status, name);
    assert.match(detailOf(asked), says);
  }
  assert.equal(await manager.loadCheckpoint('a'), 1);
  const none = await ask('GET', '/v1/workers/b/checkpoints/latest');
  assert.equal(none.status, 404);
  assert.match(detailOf(none), /begin anew/);
  assert.equal(none.headers.get('trainguard-checkpoint'), 'none');
  const nowhere = await ask('GET', '/v1/workers/b/checkpoints/newest');
  assert.deepEqual([nowhere.status, nowhere.headers.get('trainguard-checkpoint')], [404, null]);
});

test('a damaged checkpoint is passed over', async (t) => {
  const { ask } = await openApp(t);
  await ask('POST', '/v1/workers/a/checkpoints', { body: '"first"' });
  const { body } = await ask('POST', '/v1/workers/a/checkpoints', { body: '"second"' });
  writeFileSync((body as SavedCheckpoint).path, '"secxnd"');
  const latest = '/v1/workers/a/checkpoints/latest';
  const first = await ask('GET', latest);
  assert.equal(first.text, '"first"');
  const older = await ask('GET', `${latest}?before=${path.basename((body as SavedCheckpoint).path)}`);
  assert.equal(older.text, '"first"');
  const name = first.headers.get('trainguard-checkpoint')!;
  const none = await ask('GET', `${latest}?before=${name}`);
  assert.deepEqual([none.status, none.headers.get('trainguard-checkpoint')], [404, 'none']);
  assert.equal((await ask('GET', `${latest}?before=../a`)).status, 400);

  writeFileSync(path.join(path.dirname((body as SavedCheckpoint).path), name), '"fxrst"');
  const damaged = await ask('GET', latest);
  assert.equal(damaged.status, 409);
  assert.match(
    detailOf(damaged),
    /^all 2 checkpoints of a in .* are damaged .*move them away to begin anew$/,
  );
});

test(
  'the files of checkpoints that nobody reads to the end are closed',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const { ask, app } = await openApp(t);
    await ask('POST', '/v1/workers/a/checkpoints', { body: JSON.stringify('x'.repeat(1_000_000)) });
    const open = (): number => readdirSync('/proc/self/fd').length;
    const before = open();
    for (let i = 0; i < 20; i++) {
      await ask('HEAD', '/v1/workers/a/checkpoints/latest');
      const url = 'http://127.0.0.1:1/v1/workers/a/checkpoints/latest';
      await (await app.fetch(new Request(url))).body?.cancel();
      const reader = (await app.fetch(new Request(url))).body?.getReader();
      await reader?.read();
      await reader?.cancel();
    }
    assert.ok(open() <= before + 2, `${before} → ${open()}`);
  },
);

test('the watch is stopped and started', async (t) => {
  const { ask } = await openApp(t);
  await ask('PUT', '/v1/workers/a');
  for (const monitoring of [true, false, true]) {
    assert.deepEqual((await ask('PUT', '/v1/monitoring', { body: { monitoring } })).body, { monitoring });
    assert.deepEqual((await ask('GET', '/v1/monitoring')).body, { monitoring });
    const beat = await ask('POST', '/v1/workers/a/heartbeat');
    assert.equal((beat.body as { shouldContinue: boolean }).shouldContinue, monitoring);
  }
  await ask('POST', '/v1/workers/a/failures');
  assert.deepEqual((await ask('GET', '/v1/health')).body, {
    ...{ version: '1.2.3', workers: 1, failed: 1, monitoring: true },
  });
});

test('a decision over HTTP is the one of the library', async (t) => {
  const { ask } = await openApp(t, { random: () => 0 });
  const error = { type: 'RuntimeError', message: 'CUDA out of memory' };
  const decide = async (body: object): Promise<Record<string, unknown>> =>
    (await ask('POST', '/v1/recovery/decision', { body })).body as Record<string, unknown>;
  const first = await decide({ error, backoff: { initial: 2, jitter: 0 } });
  assert.deepEqual([first['kind'], first['retry'], first['delayMs']], ['gpu-memory', true, 2000]);
  const past = { kind: 'gpu-memory', fingerprint: first['fingerprint'], step: 9 };
  const again = await decide({ error, step: 9, history: [past], maxRetries: 3 });
  assert.equal(again['retry'], false);
  const ruled = await decide({ error, rules: { 'gpu-memory': { retry: false } } });
  assert.equal(ruled['retry'], false);
  assert.equal(
    (await ask('POST', '/v1/recovery/decision', { body: { error, rules: { gpu_memory: {} } } })).status,
    400,
  );
});

test('a key makes a request count once, also in the next life', async (t) => {
  const dir = tempDir(t);
  const headers = { 'idempotency-key': 'try-1' };
  const fail = { body: { reason: 'x' }, headers };
  const { ask, close } = await openApp(t, { dir });
  await ask('PUT', '/v1/workers/a', { headers });
  const first = await ask('POST', '/v1/workers/a/failures', fail);
  const together = await Promise.all([1, 2, 3].map(() => ask('POST', '/v1/workers/a/failures', fail)));
  for (const again of together) {
    assert.deepEqual([again.status, again.text], [first.status, first.text]);
    assert.equal(again.headers.get('idempotency-replayed'), 'true');
  }
  const other = await ask('POST', '/v1/workers/a/failures', { body: { reason: 'y' }, headers });
  assert.equal(other.status, 422);
  assert.match(detailOf(other), /take a new key/);
  await close();

  const next = await openApp(t, { dir });
  const later = await next.ask('POST', '/v1/workers/a/failures', fail);
  assert.deepEqual([later.text, later.headers.get('idempotency-replayed')], [first.text, 'true']);
  const failures = async (): Promise<number> =>
    ((await next.ask('GET', '/v1/workers/a')).body as WorkerState).failureCount;
  assert.equal(await failures(), 1);
  await next.ask('POST', '/v1/workers/a/failures', { ...fail, headers: { 'idempotency-key': 'try-2' } });
  assert.equal(await failures(), 2);
});

test('several of one key at once do the thing once', async (t) => {
  const { ask } = await openApp(t);
  await ask('PUT', '/v1/workers/a');
  const headers = { 'idempotency-key': 'k' };
  const all = await Promise.all(
    Array.from({ length: 5 }, () => ask('POST', '/v1/workers/a/failures', { headers })),
  );
  assert.deepEqual(all.map(({ headers }) => headers.get('idempotency-replayed') ?? 'first').sort(), [
    'first',
    'true',
    'true',
    'true',
    'true',
  ]);
  assert.equal(((await ask('GET', '/v1/workers/a')).body as WorkerState).failureCount, 1);
});

test('a refusal is not kept under a key: the request may be tried again', async (t) => {
  const { ask } = await openApp(t);
  const headers = { 'idempotency-key': 'k' };
  assert.equal((await ask('DELETE', '/v1/workers/a', { headers })).status, 404);
  await ask('PUT', '/v1/workers/a');
  assert.equal((await ask('DELETE', '/v1/workers/a', { headers })).status, 204);
  const again = await ask('DELETE', '/v1/workers/a', { headers });
  assert.deepEqual([again.status, again.text, again.headers.get('idempotency-replayed')], [204, '', 'true']);
});

test('a checkpoint with a key is saved once, though its body is not read twice into memory', async (t) => {
  const { ask, dir } = await openApp(t);
  const headers = { 'idempotency-key': 'k' };
  const post = (body: string, chunked = false): ReturnType<typeof ask> =>
    ask('POST', '/v1/workers/a/checkpoints', { body, headers, chunked });
  const first = await post('{"step":1}');
  const again = await post('{"step":1}', true);
  assert.deepEqual(
    [again.status, again.text, again.headers.get('idempotency-replayed')],
    [201, first.text, 'true'],
  );
  assert.equal((await post('{"step":2}')).status, 422);
  assert.equal(readdirSync(path.join(dir, 'checkpoints/a')).length, 1);
});
