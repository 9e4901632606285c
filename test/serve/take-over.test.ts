import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { LaterServer } from '../../src/commands/serve-later.js';
import { type RunServer, serveRun } from '../../src/commands/serve-run.js';
import { serveWorkers } from '../../src/commands/serve-workers.js';
import type { ServeSettings } from '../../src/config/settings.js';
import { exitStatus, fail, ok, type Result } from '../../src/util/result.js';
import { atEnd, type TestEnd } from '../support/cleanup.js';
import { eventually } from '../support/eventually.js';
import { tempDir } from '../support/temp-dir.js';
import { asFiles, expired } from './certificates.js';
import { failClosing } from './worker-journal-support.js';

type Started = Result<RunServer | undefined> & { readonly notices: string[]; readonly told: string[] };

/** The server of a run as `run` starts it. @param attempt the one that lives already */
async function start(t: TestEnd, dir: string, serve: ServeSettings, attempt?: number): Promise<Started> {
  const notices: string[] = [];
  const told: string[] = [];
  const state = attempt === undefined ? { name: 'idle' } : { name: 'running', ledger: { attempt } };
  const held = { run: { dir }, history: { state } } as unknown as Parameters<typeof serveWorkers>[1];
  const server = await serveWorkers(
    { serve } as Parameters<typeof serveWorkers>[0],
    held,
    (lines) => told.push(...lines.map(({ text }) => text)),
    (text) => notices.push(text),
  );
  atEnd(t, () => (server.ok ? server.value?.close() : undefined));
  return { ...server, notices, told };
}

async function usurp(t: TestEnd): Promise<number> {
  const usurper = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => usurper.once('listening', resolve));
  atEnd(t, () => void usurper.close());
  return (usurper.address() as net.AddressInfo).port;
}

const recordOf = (dir: string): { readonly url: string; readonly port: number } =>
  JSON.parse(readFileSync(path.join(dir, 'serve', 'server.json'), 'utf8')) as { url: string; port: number };

test('a named port that is taken: a refusal at the start, another port where a training lives', async (t) => {
  const dir = tempDir(t);
  const port = await usurp(t);
  const first = await start(t, dir, { port });
  assert.equal(first.ok ? 0 : first.error.exit, exitStatus.busy);
  const heir = await start(t, dir, { port }, 3);
  assert.match(heir.notices.join('\n'), new RegExp(`port ${port} of 127.0.0.1 is taken .*another is used`));
  const { url } = recordOf(dir);
  assert.deepEqual(heir.told, [`workers report to ${url}`]);
  // and where the heir listened, its own heir listens again
  assert.ok(heir.ok);
  await heir.value?.close();
  const next = await start(t, dir, { port }, 3);
  assert.deepEqual(next.told, [`workers report to ${url}`]);
});

test('what is damaged of the workers of an attempt that is over keeps no run from starting', async (t) => {
  const dir = tempDir(t);
  mkdirSync(path.join(dir, 'serve'), { mode: 0o700 });
  writeFileSync(path.join(dir, 'serve', 'state.json'), '{"schemaVersion":1');
  for (const attempt of [undefined, 3]) {
    const { notices, told, ...started } = await start(t, dir, {}, attempt);
    assert.ok(started.ok);
    await started.value?.close();
    assert.equal(told.length, 1);
    assert.equal(notices.length, attempt === undefined ? 1 : 0, notices.join('\n'));
  }
});

const troubles: readonly [string, (dir: string) => ServeSettings, RegExp][] = [
  [
    'a certificate that has expired',
    (dir) => {
      const { certFile, keyFile } = asFiles(dir, 'cert', expired);
      return { tlsCert: certFile, tlsKey: keyFile };
    },
    /expired on .*; give a valid one/,
  ],
  [
    'a host that is none of ours any more',
    () => ({ host: '192.0.2.1', insecure: true }),
    /no address of this machine/,
  ],
  [
    'a token that others can read',
    (dir) => {
      mkdirSync(path.join(dir, 'serve'), { mode: 0o700 });
      writeFileSync(path.join(dir, 'serve', 'token'), 'x'.repeat(43), { mode: 0o644 });
      return {};
    },
    /can be read by others/,
  ],
];
for (const [what, settings, says] of troubles) {
  test(`${what}: a refusal at the start, a notice where a training lives`, async (t) => {
    const dir = tempDir(t);
    const serve = settings(dir);
    assert.equal((await start(t, dir, serve)).ok, false);
    const { ok: started, notices } = await start(t, dir, serve, 3);
    assert.ok(started);
    assert.match(notices.at(-1) ?? '', says);
    assert.match(
      notices.at(-1) ?? '',
      /^workers cannot report: .*; the training is supervised, .*tried again/,
    );
  });
}

test('a server that could not start starts when it can, for the attempt that lives by then', async (t) => {
  const dir = tempDir(t);
  const quiet = (): void => undefined;
  const before = await serveRun({ dir, attempt: 3 }, quiet, (text) => assert.fail(text));
  assert.ok(before.ok);
  const { TRAINGUARD_TOKEN_FILE: tokenFile = '' } = before.value.begin(3);
  const authorization = `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`;
  const call = (url: string, method: string, target: string, body?: object): Promise<Response> =>
    fetch(`${url}${target}`, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
  assert.equal((await call(before.value.url, 'PUT', '/v1/workers/old', {})).status, 201);
  await before.value.close();

  chmodSync(tokenFile, 0o644);
  const notices: string[] = [];
  let tries = 0;
  let url = '';
  const later = await LaterServer.start({
    async open(attemptNow, notice) {
      tries++;
      notice('what every try says');
      const opened = await serveRun({ dir, attempt: attemptNow(), attemptNow }, quiet, notice);
      if (opened.ok) url = opened.value.url;
      return opened;
    },
    attempt: 3,
    envOf: (attempt) => ({ TRAINGUARD_URL: `before/${attempt}` }),
    notice: (text) => notices.push(text),
    retryMs: 1,
  });
  atEnd(t, () => later.close());
  const heard: string[] = [];
  later.hearLines((line) => heard.push(line));
  await eventually(() => tries > 2, 'it to be tried again', 60_000);
  later.attemptOver();
  assert.deepEqual(later.begin(4), { TRAINGUARD_URL: 'before/4' });
  assert.equal(notices.length, 2, notices.join('\n'));

  chmodSync(tokenFile, 0o600);
  await eventually(() => url !== '', 'it to start', 60_000);
  const none = { workers: [], next: null };
  await eventually(
    async () => isDeepStrictEqual(await (await call(url, 'GET', '/attempts/4/v1/workers')).json(), none),
    'the worker of attempt 3 to be forgotten',
    60_000,
  );
  assert.equal((await call(url, 'GET', '/attempts/3/v1/workers')).status, 410);
  assert.equal((await call(url, 'PUT', '/attempts/4/v1/workers/new', {})).status, 201);
  await call(url, 'POST', '/attempts/4/v1/workers/new/heartbeat', { currentBatch: 5 });
  assert.match(heard.join(), /5/);
});

test('what starts while all is being closed is closed too', async () => {
  let begun: (result: Result<RunServer>) => void = () => undefined;
  let tries = 0;
  const later = await LaterServer.start({
    open: () =>
      ++tries === 1 ? Promise.resolve(fail('no', 78)) : new Promise((resolve) => (begun = resolve)),
    attempt: 0,
    envOf: () => ({}),
    notice: () => undefined,
    retryMs: 1,
  });
  await eventually(() => tries > 1, 'it to be tried again', 60_000);
  const closing = later.close();
  let closed = false;
  const close = (): Promise<void> => {
    closed = true;
    return Promise.resolve();
  };
  const server = { begin: () => ({}), hearLines: () => () => undefined, attemptOver: () => undefined, close };
  begun(ok(server));
  await closing;
  assert.ok(closed);
});

test('no trouble in closing its server fails a training that is over', async (t) => {
  const notices: string[] = [];
  failClosing(t, 'journal.jsonl', new Error('a bug'));
  const opened = await serveRun(
    { dir: tempDir(t), attempt: undefined },
    () => undefined,
    (text) => notices.push(text),
  );
  assert.ok(opened.ok);
  await opened.value.close();
  await opened.value.close();
  assert.deepEqual(notices, ['what workers reported to could not be closed in order: Error: a bug']);
});
