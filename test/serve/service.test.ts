import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { mayPass } from '../../src/serve/may-pass.js';
import { openService, type Service, type ServiceOptions } from '../../src/serve/service.js';
import { fail, ok } from '../../src/util/result.js';
import { version } from '../../src/util/version.js';
import { atEnd, type TestEnd } from '../support/cleanup.js';
import { root } from '../support/root.js';
import { tempDir } from '../support/temp-dir.js';
import { asFiles, one, other } from './certificates.js';

type Opened = Service & { readonly dir: string; readonly notices: readonly string[] };

async function opened(t: TestEnd, options: Partial<ServiceOptions> = {}): Promise<Opened> {
  const dir = options.dir ?? path.join(tempDir(t), 'serve');
  const notices: string[] = [];
  const result = await openService({ port: 0, notice: (text) => notices.push(text), ...options, dir });
  assert.ok(result.ok, result.ok ? '' : result.error.message);
  atEnd(t, () => result.value.close());
  return { ...result.value, dir, notices };
}

const health = async ({ url, tokenFile }: Service): Promise<Record<string, unknown>> => {
  const headers = { Authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}` };
  return (await (await fetch(`${url}/v1/health`, { headers })).json()) as Record<string, unknown>;
};

test('its version is that of the package', () => {
  const { version: named } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    version: string;
  };
  assert.equal(version, named);
});

test('it is on from the first start, and stays off once it was stopped', async (t) => {
  const first = await opened(t);
  assert.deepEqual(await health(first), { version, workers: 0, failed: 0, monitoring: true });
  await first.manager.registerWorker('w0');
  await first.manager.stopMonitoring();
  await first.close();
  const again = await opened(t, { dir: first.dir });
  assert.deepEqual(await health(again), { version, workers: 1, failed: 0, monitoring: false });
});

test('its next life has the same port and token unless another port is asked for', async (t) => {
  const first = await opened(t);
  const token = readFileSync(first.tokenFile, 'utf8');
  await first.close();
  const again = await openService({ dir: first.dir, notice: () => undefined });
  assert.ok(again.ok);
  atEnd(t, () => again.value.close());
  assert.equal(again.value.port, first.port);
  assert.equal(readFileSync(again.value.tokenFile, 'utf8'), token);
});

test('where its port is taken meanwhile it takes another, and says so', async (t) => {
  const first = await opened(t);
  await first.close();
  const usurper = net.createServer().listen(first.port, '127.0.0.1');
  await new Promise((resolve) => usurper.once('listening', resolve));
  atEnd(t, () => void usurper.close());
  const notices: string[] = [];
  const again = await openService({ dir: first.dir, notice: (text) => notices.push(text) });
  assert.ok(again.ok);
  atEnd(t, () => again.value.close());
  assert.notEqual(again.value.port, first.port);
  assert.match(notices.join('\n'), new RegExp(`port ${first.port} of 127.0.0.1 is taken .*another is used`));
});

test('a worker beats: who opened the service hears it', async (t) => {
  const beats: unknown[] = [];
  const service = await opened(t, {
    onBeat: (workerId, { currentBatch }) => beats.push({ workerId, currentBatch }),
  });
  await service.manager.registerWorker('w0');
  const token = readFileSync(service.tokenFile, 'utf8').trim();
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  const body = JSON.stringify({ currentBatch: 3 });
  await fetch(`${service.url}/v1/workers/w0/heartbeat`, { method: 'POST', headers, body });
  assert.deepEqual(beats, [{ workerId: 'w0', currentBatch: 3 }]);
});

test('other machines are let in without TLS only where that was asked for, and it is said', async (t) => {
  const { notices } = await opened(t, { host: '0.0.0.0', insecure: true });
  assert.match(notices.join('\n'), /without TLS everyone on the way .* can read the token/);
});

const refusals: readonly [string, (dir: string) => Partial<ServiceOptions>, number, RegExp][] = [
  [
    'another machine without TLS',
    () => ({ host: '10.0.0.1' }),
    78,
    /--tls-cert and --tls-key, or --insecure/,
  ],
  ['a name that may be anywhere', () => ({ host: 'node17' }), 78, /--tls-cert and --tls-key, or --insecure/],
  ['half of TLS', () => ({ tlsCert: 'a.pem' }), 78, /--tls-key is missing/],
  ['the other half', () => ({ tlsKey: 'a.pem' }), 78, /--tls-cert is missing/],
  [
    "another certificate's key",
    (dir) => ({
      tlsCert: asFiles(dir, 'one', one).certFile,
      tlsKey: asFiles(dir, 'other', other).keyFile,
    }),
    78,
    /is not the key of the certificate/,
  ],
  [
    'a token that others can read',
    (dir) => {
      writeFileSync(path.join(dir, 'tok'), 'x'.repeat(43));
      chmodSync(path.join(dir, 'tok'), 0o644);
      return { tokenFile: path.join(dir, 'tok') };
    },
    78,
    /can be read by others/,
  ],
  [
    'a timeout below the interval',
    () => ({ heartbeatInterval: 5, heartbeatTimeout: 1 }),
    78,
    /heartbeatTimeout is at least/,
  ],
  [
    'a file where its folder should be',
    (dir) => {
      writeFileSync(path.join(dir, 'file'), '');
      return { dir: path.join(dir, 'file', 'serve') };
    },
    78,
    /cannot make the folder/,
  ],
  [
    'a file where the checkpoints should be',
    (dir) => {
      writeFileSync(path.join(dir, 'file'), '');
      return { checkpointDir: path.join(dir, 'file') };
    },
    78,
    /checkpoints cannot be kept in .*file: EEXIST.*--checkpoint-dir/,
  ],
  ['a name with a port', () => ({ allowHosts: ['proxy.example:443'] }), 78, /--allow-host .* leave out/],
  [
    'a journal of something else',
    (dir) => {
      mkdirSync(path.join(dir, 'broken'));
      writeFileSync(path.join(dir, 'broken', 'journal.jsonl'), 'hello\nworld\n');
      return { dir: path.join(dir, 'broken') };
    },
    125,
    /is damaged/,
  ],
];
for (const [what, options, exit, says] of refusals) {
  test(`told in one sentence: ${what}`, async (t) => {
    const dir = tempDir(t);
    const result = await openService({
      dir: path.join(dir, 'serve'),
      port: 0,
      notice: () => undefined,
      ...options(dir),
    });
    assert.ok(!result.ok);
    assert.equal(result.error.exit, exit);
    assert.match(result.error.message, says);
    assert.ok(!result.error.message.includes('\n'));
  });
}

test('what could not be opened leaves nothing open', async (t) => {
  const { port } = await opened(t);
  const before = openFiles();
  const result = await openService({ dir: path.join(tempDir(t), 'serve'), port, notice: () => undefined });
  assert.equal(result.ok ? 0 : result.error.exit, 75);
  assert.equal(openFiles(), before);
});

/** Our open files, where the system tells. */
function openFiles(): number {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;
}

test('a port in server.json that is none is not tried', async (t) => {
  const dir = path.join(tempDir(t), 'serve');
  mkdirSync(dir);
  const record = { schemaVersion: 1, url: 'x', port: 99_999_999, pid: 1, startedAt: 0 };
  writeFileSync(path.join(dir, 'server.json'), JSON.stringify(record));
  const result = await openService({ dir, usualPort: 0, notice: () => undefined });
  assert.ok(result.ok);
  await result.value.close();
});

test('what may pass by itself is worth another start', () => {
  for (const code of ['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE'])
    assert.deepEqual(mayPass(fail('x', 78, code)), fail('x', 75, code));
  assert.deepEqual(mayPass(fail('x', 78, 'EACCES')), fail('x', 78, 'EACCES'));
  assert.deepEqual(mayPass(ok(1)), ok(1));
});

test('a key that others can read is told of', async (t) => {
  const { certFile, keyFile } = asFiles(tempDir(t), 'one', one);
  chmodSync(keyFile, 0o644);
  const { notices } = await opened(t, { tlsCert: certFile, tlsKey: keyFile });
  assert.match(notices.join('\n'), /--tls-key .* can be read by others \(mode 644\).*chmod 600/);
});
