import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bugReport } from '../../src/serve/bug-report.js';
import { detailOf, openApp, request } from './app-support.js';

const wrong: readonly {
  name: string;
  method: string;
  target: string;
  body?: unknown;
  headers?: Record<string, string>;
  status: number;
  says: RegExp;
}[] = [
  { name: 'no JSON', method: 'PUT', target: '/v1/workers/a', body: '{"x', status: 400, says: /not JSON .*send one/ },
  { name: 'not UTF-8', method: 'PUT', target: '/v1/workers/a', body: new Uint8Array([0x22, 0xff, 0x22]), status: 400, says: /not UTF-8/ },
  { name: 'no object', method: 'PUT', target: '/v1/workers/a', body: '[3]', status: 400, says: /body must be a JSON object/ },
  { name: 'a field mistyped', method: 'PUT', target: '/v1/workers/a', body: { heartbeatTimeuot: 3 }, status: 400, says: /no key heartbeatTimeuot; did you mean heartbeatTimeout\?/ },
  { name: 'another type', method: 'PUT', target: '/v1/workers/a', body: { maxFailures: 'x' }, status: 400, says: /maxFailures must be a whole number .*, not "x"/ },
  { name: 'a timeout below the interval', method: 'PUT', target: '/v1/workers/a', body: { heartbeatInterval: 5, heartbeatTimeout: 1 }, status: 422, says: /heartbeatTimeout must be at least heartbeatInterval \(5\), not 1/ },
  { name: 'a batch below 0', method: 'POST', target: '/v1/workers/a/heartbeat', body: { currentBatch: -1 }, status: 400, says: /currentBatch must be a whole number/ },
  { name: 'a body that is not JSON by its type', method: 'PUT', target: '/v1/workers/a', body: 'a=1', headers: { 'content-type': 'application/x-www-form-urlencoded' }, status: 415, says: /"Content-Type: application\/json"/ },
  { name: 'another charset', method: 'PUT', target: '/v1/workers/a', body: '{}', headers: { 'content-type': 'application/json; charset=latin1' }, status: 415, says: /Content-Type/ },
  { name: 'a coded body', method: 'PUT', target: '/v1/workers/a', body: '{}', headers: { 'content-encoding': 'gzip' }, status: 415, says: /"gzip"; send it as it is/ },
  { name: 'a checkpoint without a type', method: 'POST', target: '/v1/workers/a/checkpoints', status: 415, says: /not named/ },
  { name: 'an empty body where one is needed', method: 'PUT', target: '/v1/monitoring', status: 400, says: /empty/ },
  { name: 'no flag', method: 'PUT', target: '/v1/monitoring', body: { monitoring: 1 }, status: 400, says: /must be true or false, not 1/ },
  { name: 'an id that leaves its folder', method: 'GET', target: '/v1/workers/..%2f..%2fetc', status: 400, says: /must be a worker's id/ },
  { name: 'an id that begins with a point', method: 'PUT', target: '/v1/workers/.a', body: {}, status: 400, says: /must be a worker's id/ },
  { name: 'an id that is too long', method: 'PUT', target: `/v1/workers/${'a'.repeat(129)}`, body: {}, status: 400, says: /must be a worker's id/ },
  { name: 'an id that is no UTF-8', method: 'GET', target: '/v1/workers/%ff', status: 400, says: /must be a worker's id/ },
  { name: 'a worker in a batch without an id', method: 'POST', target: '/v1/heartbeats', body: { heartbeats: [{ workerId: 'a' }, {}] }, status: 400, says: /heartbeats\[1\]\.workerId must be a worker's id.*left out/ },
  { name: 'too many heartbeats', method: 'POST', target: '/v1/heartbeats', body: { heartbeats: Array.from({ length: 1001 }, () => ({ workerId: 'a' })) }, status: 400, says: /at most 1000/ },
  { name: 'a parameter mistyped', method: 'GET', target: '/v1/workers?staus=failed', status: 400, says: /no key staus; did you mean status\?/ },
  { name: 'a parameter twice', method: 'GET', target: '/v1/workers?limit=1&limit=2', status: 400, says: /limit may stand only once/ },
  { name: 'a limit of none', method: 'GET', target: '/v1/workers?limit=0', status: 400, says: /limit must be a whole number from 1/ },
  { name: 'an unknown status', method: 'GET', target: '/v1/workers?status=dead', status: 400, says: /status must be "active"/ },
  { name: 'an empty Idempotency-Key', method: 'DELETE', target: '/v1/workers/a', headers: { 'idempotency-key': '' }, status: 400, says: /idempotency-key must be 1 to 128/ },
  { name: 'an Idempotency-Key that is too long', method: 'DELETE', target: '/v1/workers/a', headers: { 'idempotency-key': 'k'.repeat(129) }, status: 400, says: /idempotency-key must be 1 to 128/ },
  { name: 'another digest', method: 'POST', target: '/v1/workers/a/checkpoints', body: {}, headers: { 'content-digest': 'sha-512=:AAAA:' }, status: 400, says: /content-digest must be sha-256=/ },
  { name: 'an unknown path', method: 'GET', target: '/v2', status: 404, says: /nothing at "\/v2"; GET \/openapi.json/ },
  { name: 'a path that ends with a slash', method: 'GET', target: '/v1/workers/', status: 404, says: /nothing at/ },
  { name: 'a longer path', method: 'GET', target: '/v1/workers/a/b', status: 404, says: /nothing at/ },
]; // prettier-ignore
for (const { name, method, target, status, says, ...sent } of wrong) {
  test(`refused in one sentence: ${name}`, async (t) => {
    const { ask, bugs, manager } = await openApp(t);
    const asked = await ask(method, target, sent);
    assert.equal(asked.status, status, asked.text);
    assert.match(detailOf(asked), says);
    assert.deepEqual(manager.getWorkers(), []);
    assert.deepEqual(bugs, []);
  });
}

test('other methods are told which there are; OPTIONS is answered, HEAD is as GET without a body', async (t) => {
  const { ask } = await openApp(t);
  for (const method of ['PATCH', 'POST', 'QUERY']) {
    const asked = await ask(method, '/v1/workers/a');
    assert.equal(asked.status, 405);
    assert.equal(asked.headers.get('allow'), 'DELETE, GET, HEAD, OPTIONS, PUT');
  }
  const options = await ask('OPTIONS', '/v1/heartbeats');
  assert.deepEqual([options.status, options.headers.get('allow'), options.text], [204, 'OPTIONS, POST', '']);
  assert.equal((await ask('HEAD', '/v1/heartbeats')).status, 405);
  const head = await ask('HEAD', '/v1/health');
  assert.deepEqual([head.status, head.text], [200, '']);
});

test('a body is counted while it is read, whatever its length is said to be', async (t) => {
  const { ask } = await openApp(t, { limits: { bodyBytes: 1000, checkpointBytes: 1000 } });
  const body = { note: 'x'.repeat(1000) };
  const heartbeat = '/v1/workers/a/heartbeat';
  assert.equal((await ask('POST', heartbeat, { body: { note: 'x'.repeat(900) } })).status, 200);
  for (const target of [heartbeat, '/v1/workers/a/checkpoints']) {
    const named = await ask('POST', target, { body });
    const unnamed = await ask('POST', target, { body, chunked: true });
    const lied = await ask('POST', target, { body, headers: { 'content-length': '10' } });
    for (const asked of [named, unnamed, lied]) {
      assert.equal(asked.status, 413, asked.text);
      assert.match(detailOf(asked), /1000/);
    }
  }
});

test('a body without end is given up at its bound', async (t) => {
  const { app } = await openApp(t, { limits: { bodyBytes: 100_000, checkpointBytes: 100_000 } });
  for (const target of ['/v1/workers/a/heartbeat', '/v1/workers/a/checkpoints']) {
    const stream = { sent: 0, left: false };
    const body = new ReadableStream({
      pull(controller) {
        stream.sent += 1000;
        controller.enqueue(Buffer.alloc(1000, '['));
      },
      cancel() {
        stream.left = true;
      },
    });
    const headers = { 'content-type': 'application/json' };
    const url = `http://127.0.0.1:1${target}`;
    const answer = await app.fetch(new Request(url, { method: 'POST', headers, body, duplex: 'half' }));
    assert.equal(answer.status, target.endsWith('checkpoints') ? 400 : 413); // too deep to be a state
    assert.ok(stream.left && stream.sent < 200_000, `${stream.sent}`);
  }
});

test('who goes before the end of a body gets nothing done', async (t) => {
  const { app, manager, bugs } = await openApp(t);
  for (const target of ['PUT /v1/workers/a', 'POST /v1/workers/a/checkpoints']) {
    const [method = '', place = ''] = target.split(' ');
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(Buffer.from('{'));
        controller.error(new Error('reset'));
      },
    });
    const headers = { 'content-type': 'application/json', 'idempotency-key': 'k' };
    const url = `http://127.0.0.1:1${place}`;
    const answer = await app.fetch(new Request(url, { method, headers, body, duplex: 'half' }));
    assert.equal(answer.status, 400);
    assert.match(await answer.text(), /ended before it was complete/);
  }
  assert.deepEqual(manager.getWorkers(), []);
  assert.equal(await manager.checkpoints.newest('a'), null);
  assert.deepEqual(bugs, []);
});

test('a bug is told to the log, not to the client', async (t) => {
  const { ask, manager, bugs } = await openApp(t);
  manager.getWorkers = () => {
    throw new TypeError('secret');
  };
  const asked = await ask('GET', '/v1/workers');
  assert.equal(asked.status, 500);
  assert.doesNotMatch(asked.text, /secret|TypeError/);
  assert.deepEqual(bugs, ['GET /v1/workers: TypeError: secret']);
});

test('what the disk refuses is 507, with the reason', async (t) => {
  const { ask, manager, bugs } = await openApp(t);
  manager.registerWorker = () =>
    Promise.reject(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }));
  const asked = await ask('PUT', '/v1/workers/a', { body: {} });
  assert.equal(asked.status, 507);
  assert.match(detailOf(asked), /no space left on device/);
  assert.deepEqual(bugs, []);
});

test('keys that JavaScript treats apart do no harm', async (t) => {
  const { ask, bugs } = await openApp(t);
  await ask('PUT', '/v1/workers/__proto__', { body: '{"initialState":{"__proto__":{"currentBatch":7}}}' });
  const beat = await ask('POST', '/v1/workers/__proto__/heartbeat', {
    body: '{"__proto__":{"currentBatch":9},"constructor":null,"toString":1}',
  });
  assert.equal(beat.status, 200);
  const worker = await ask('GET', '/v1/workers/__proto__');
  assert.equal((worker.body as { currentBatch: number }).currentBatch, 0);
  assert.deepEqual(bugs, []);
});

test('a body of nothing but brackets is refused, not overflowing', async (t) => {
  const { ask, bugs } = await openApp(t, { limits: { workerBodyBytes: 1024 * 1024 } });
  const deep = '['.repeat(500_000);
  assert.equal((await ask('POST', '/v1/workers/a/heartbeat', { body: deep })).status, 400);
  const closed = `{"x":${'['.repeat(400_000)}${']'.repeat(400_000)}}`;
  assert.equal((await ask('POST', '/v1/workers/a/heartbeat', { body: closed })).status, 200);
  assert.equal((await ask('PUT', '/v1/workers/a', { body: closed })).status, 400);
  const inside = await ask('PUT', '/v1/workers/a', { body: closed.replace('"x"', '"maxFailures"') });
  assert.match(detailOf(inside), /maxFailures must be a whole number .*, not \[\[\["…"\]\]\]/);
  assert.deepEqual(bugs, []);
});

test('answers are not to be kept by anybody on the way', async (t) => {
  const { app } = await openApp(t);
  const { headers } = await app.fetch(request('GET', '/v1/health'));
  assert.equal(headers.get('cache-control'), 'no-store');
  assert.equal(headers.get('x-content-type-options'), 'nosniff');
});

test('who only asks is told of a sick disk as what may pass, and the log has no trace', async (t) => {
  const { ask, manager, bugs } = await openApp(t);
  manager.checkpoints.open = () =>
    Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }));
  const answer = await ask('GET', '/v1/workers/a/checkpoints/latest');
  assert.deepEqual([answer.status, answer.headers.get('retry-after')], [503, '5']);
  assert.match(detailOf(answer), /could not read/);
  assert.equal(bugs.length, 1);
  const refused = bugReport(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }), 'GET /x');
  assert.deepEqual(refused, { kind: 'EIO', text: 'GET /x could not be answered: EIO: i/o error' });
  assert.match(bugReport(new Error('ours'), 'GET /x').text, /an error of ours: Error: ours\n {4}at /);
});

test('what is about one worker is small; a list of heartbeats may be larger', async (t) => {
  const { ask } = await openApp(t);
  const body = { note: 'x'.repeat(64 * 1024) };
  assert.equal((await ask('POST', '/v1/workers/a/heartbeat', { body })).status, 413);
  assert.equal((await ask('POST', '/v1/workers/a/heartbeat', { body, chunked: true })).status, 413);
  const heartbeats = [{ workerId: 'a', ...body }];
  assert.equal((await ask('POST', '/v1/heartbeats', { body: { heartbeats } })).status, 200);
  // as long as may be, in the longest way to write it
  const text = `{"reason": "${'\\u00e9'.repeat(10_000)}"}`;
  assert.equal((await ask('POST', '/v1/workers/a/failures', { body: text })).status, 404);
});

test('what stands in a query is known, whatever it is called', async (t) => {
  const { ask } = await openApp(t);
  for (const [target, says] of [
    ['/v1/health?x=1', /^x stands in the query, and this path takes none\.$/],
    ['/v1/workers?__proto__=1', /__proto__ is unknown in the query; known here: status, limit, after/],
  ] as const) {
    const answer = await ask('GET', target);
    assert.equal(answer.status, 400);
    assert.match(detailOf(answer), says);
  }
});
