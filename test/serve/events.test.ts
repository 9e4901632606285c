import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RecoveryEvent } from '../../src/recovery/types.js';
import { type EventStream } from '../../src/serve/event-stream.js';
import { EventLog } from '../../src/serve/events.js';
import { openApp, request } from './app-support.js';

const failed = (workerId: string, reason = 'r'): RecoveryEvent => ({
  type: 'failed',
  at: 1,
  reason,
  worker: {
    ...{
      workerId,
      status: 'failed',
      lastCheckpoint: null,
      failureCount: 1,
      lastHeartbeat: 0,
      currentBatch: 0,
    },
  },
});

const newLog = (kept = 100, streams = 10, turns = 100): EventLog =>
  new EventLog({ epoch: 'e', kept, streams, turns });

function open(
  log: EventLog,
  reader: { workerId?: string; after?: string } = {},
): EventStream & { cuts: number } {
  const cuts = { cuts: 0 };
  const stream = log.open({ ...reader, cut: () => (cuts.cuts += 1) });
  assert.ok(stream);
  return Object.defineProperty(stream, 'cuts', { get: () => cuts.cuts }) as EventStream & { cuts: number };
}

async function take(stream: EventStream): Promise<string> {
  const { done, value } = await stream.next();
  return done ? '(end)' : Buffer.from(value).toString();
}

const idsIn = (text: string): string[] => [...text.matchAll(/^id: (.*)$/gm)].map(([, id]) => id ?? '');

test('a reader gets what happens from then on, each with its id and type', async () => {
  const log = newLog();
  log.add(failed('before'));
  const stream = open(log);
  assert.equal(await take(stream), 'retry: 2000\nid: e-1\n\n');
  const waits = take(stream);
  log.add(failed('a'));
  assert.equal(await waits, `id: e-2\nevent: failed\ndata: ${JSON.stringify(failed('a'))}\n\n`);
  log.add(failed('b'));
  log.add(failed('c'));
  assert.deepEqual(idsIn(await take(stream)), ['e-3', 'e-4']);
});

test('one that comes back goes on after the last that it saw', async () => {
  const log = newLog();
  for (const id of ['a', 'b', 'c']) log.add(failed(id));
  assert.deepEqual(idsIn(await take(open(log, { after: 'e-1' }))), ['e-2', 'e-3']);
  const upToDate = open(log, { after: 'e-3' });
  assert.equal(await take(upToDate), 'retry: 2000\n\n');
  const waits = take(upToDate);
  log.add(failed('d'));
  assert.deepEqual(idsIn(await waits), ['e-4']);
  assert.deepEqual(idsIn(await take(open(log, { after: 'e-0' }))), ['e-1', 'e-2', 'e-3', 'e-4']);
});

for (const [name, after] of [
  ['of another life', 'f-3'],
  ['that is yet to come', 'e-9'],
  ['that makes no sense', '💥\u0000'],
  ['too old', 'e-0'],
] as const) {
  test(`an id ${name} is a gap, and what is kept follows`, async () => {
    const log = newLog(2);
    for (const id of ['a', 'b', 'c']) log.add(failed(id));
    const text = await take(open(log, { after }));
    assert.match(
      text,
      /^retry: 2000\n\nid: e-1\nevent: gap\ndata: \{"type":"gap"\}\n\nid: e-2\nevent: failed\n/,
    );
    assert.deepEqual(idsIn(text), ['e-1', 'e-2', 'e-3']);
  });
}

test('a reader of one worker hears of no other', async () => {
  const log = newLog();
  log.add(failed('a'));
  const stream = open(log, { workerId: 'a', after: 'e-0' });
  assert.deepEqual(idsIn(await take(stream)), ['e-1']);
  const waits = take(stream);
  log.add(failed('b'));
  log.add({ type: 'monitoring', at: 1, monitoring: true });
  log.add(failed('a'));
  assert.deepEqual(idsIn(await waits), ['e-4']);
});

test('each turn of the clock a reader hears something; after so many its stream ends', async () => {
  const log = newLog(10, 10, 3);
  const stream = open(log);
  await take(stream);
  for (const expected of [':\n\n', ':\n\n', '(end)']) {
    const waits = take(stream);
    log.turn();
    assert.equal(await waits, expected);
  }
  assert.equal(stream.cuts, 0);
});

test('a reader that takes nothing for two turns is cut off, and makes room', async () => {
  const log = newLog(10, 1);
  const stream = open(log);
  assert.equal(log.open({ cut: () => undefined }), undefined);
  log.turn();
  assert.equal(stream.cuts, 0);
  log.turn();
  assert.equal(stream.cuts, 1);
  assert.equal(await take(stream), '(end)');
  assert.ok(log.open({ cut: () => undefined }));
});

test('a reader that is overtaken is cut off', async () => {
  const log = newLog(3);
  const stream = open(log);
  await take(stream);
  for (const id of ['a', 'b', 'c', 'd']) log.add(failed(id));
  assert.equal(await take(stream), '(end)');
  assert.equal(stream.cuts, 1);
});

test('what is kept is bounded in bytes too, and a batch is not without bounds', async () => {
  const log = newLog(10_000);
  for (let i = 0; i < 200; i++) log.add(failed('a', 'x'.repeat(100_000)));
  assert.ok(log.next - log.first < 90, `${log.next - log.first}`);
  const { value } = await open(log, { after: 'e-0' }).next();
  assert.ok(value && value.length < 300_000);
});

test('who leaves while waiting is forgotten', async () => {
  const log = newLog(10, 1);
  const stream = open(log);
  await take(stream);
  const waits = take(stream);
  await stream.return();
  assert.equal(await waits, '(end)');
  log.add(failed('a'));
  assert.ok(log.open({ cut: () => undefined }));
});

async function read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string> {
  const { value, done } = await reader.read();
  return done ? '(end)' : Buffer.from(value).toString();
}

test('over HTTP: what happens to the workers, until the server ends the streams', async (t) => {
  const { app, ask, bugs } = await openApp(t);
  const response = await app.fetch(request('GET', '/v1/events?workerId=a'));
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  assert.match(await read(reader), /^retry: 2000\nid: [0-9a-f]{12}-0\n\n$/);
  const next = read(reader);
  await ask('PUT', '/v1/workers/b');
  await ask('PUT', '/v1/workers/a');
  assert.match(await next, /^id: [0-9a-f]{12}-2\nevent: registered\ndata: .*"workerId":"a"/);
  const last = read(reader);
  app.endStreams();
  assert.equal(await last, '(end)');
  assert.deepEqual(bugs, []);
});

test('over HTTP: as many readers as may be, then 503 until one goes', async (t) => {
  const { app, ask, bugs } = await openApp(t, { limits: { eventStreams: 2 } });
  const streams = [
    await app.fetch(request('GET', '/v1/events')),
    await app.fetch(request('GET', '/v1/events')),
  ];
  const refused = await ask('GET', '/v1/events');
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '5']);
  await streams[0]?.body?.cancel();
  // HEAD opens none
  for (let i = 0; i < 5; i++) assert.equal((await ask('HEAD', '/v1/events')).status, 200);
  const again = await app.fetch(request('GET', '/v1/events'));
  assert.equal(again.status, 200);
  // one that goes while it waits
  const reader = again.body?.getReader();
  await reader?.read();
  const waits = reader?.read();
  await reader?.cancel();
  await waits;
  assert.equal((await app.fetch(request('GET', '/v1/events'))).status, 200);
  assert.deepEqual(bugs, []);
});

test('over HTTP: a reader that takes nothing loses its connection', async (t) => {
  const { app } = await openApp(t, { limits: { eventCommentMs: 5 } });
  // the app's own clock keeps no process alive
  const alive = setInterval(() => undefined, 1000);
  t.after(() => clearInterval(alive));
  const cut = new Promise<void>((resolve) => {
    void app.fetch(request('GET', '/v1/events'), { destroy: () => resolve() });
  });
  await cut;
});
