import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { describe, test } from 'node:test';
import { asFiles, one } from '../serve/certificates.js';
import { atEnd } from '../support/cleanup.js';
import { eventually } from '../support/eventually.js';
import { root } from '../support/root.js';
import { runCli, runProgram } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { treeOf } from './kit.js';
import {
  isStillServing,
  rawRequest,
  residentBytes,
  sendGigabyte,
  serve,
  served,
  strangers,
} from './serve-kit.js';

test('what it knows survives SIGKILL: workers with their limits, checkpoints, token and port', async (t) => {
  const cwd = tempDir(t);
  const first = await serve(t, cwd);
  const { body: worker } = await first.call('PUT', '/v1/workers/w0', {
    initialState: { currentBatch: 7 },
    heartbeatInterval: 0.1,
    heartbeatTimeout: 0.3,
  });
  assert.equal(worker['currentBatch'], 7);
  const { status } = await first.call('POST', '/v1/workers/w0/checkpoints', { loss: 0.5 });
  assert.equal(status, 201);
  const second = await runCli(t, ['serve'], { cwd }).done;
  assert.equal(second.code, 75);
  assert.match(second.stderr, new RegExp(`already at work in .*pid ${first.running.pid} .*--state-dir`));
  first.running.kill('SIGKILL');
  await first.running.done;

  const again = await served(runCli(t, ['serve'], { cwd }));
  assert.equal(again.url, first.url, 'living workers know the port');
  assert.equal(again.token, first.token);
  assert.match(again.running.stderr, /\(1 worker known, [01] failed\)/);
  const { body: now } = await again.call('GET', '/v1/workers/w0');
  assert.equal(now['currentBatch'], 7);
  const { body: checkpoint } = await again.call('GET', '/v1/workers/w0/checkpoints/latest');
  assert.deepEqual(checkpoint, { loss: 0.5 });
  // whether it was silent for too long before or not: from now on it is, by the limit of its own
  await again.call('POST', '/v1/workers/w0/heartbeat', {});
  await again.running.untilStderr(/worker w0 failed at batch 7 \(its \d failures? so far\): no heartbeat/);

  again.running.kill('SIGTERM');
  const ended = await again.running.done;
  assert.equal(ended.code, 0, ended.stderr);
  assert.match(ended.stderr, /stopped; what is known of the workers is kept/);
});

test('with --json one line says where it is', async (t) => {
  const cwd = tempDir(t);
  const running = runCli(t, ['serve', '--json', '--port', '0'], { cwd });
  const [line] = await running.untilStdout(/^.*\n/);
  const said = JSON.parse(line) as Record<string, unknown>;
  assert.deepEqual(Object.keys(said), ['type', 'url', 'tokenFile']);
  assert.equal(said['tokenFile'], path.join(cwd, '.trainguard', 'serve', 'token'));
  const record = JSON.parse(
    readFileSync(path.join(cwd, '.trainguard', 'serve', 'server.json'), 'utf8'),
  ) as Record<string, unknown>;
  assert.equal(record['url'], said['url']);
  assert.equal(record['pid'], running.pid);
  running.kill('SIGINT');
  const { code, stdout, stderr } = await running.done;
  assert.deepEqual([code, stdout, stderr], [0, line, '']);
});

test('neither the end of its terminal nor of who read its output ends it', async (t) => {
  const cwd = tempDir(t);
  // its stdout and stderr are a pipe whose reader ends with the first line
  const bin = path.join(root, 'bin', 'trainguard.js');
  const script = `"$1" "$2" serve --port 0 2>&1 | head -1; wait`;
  const shell = runProgram(t, ['sh', '-c', script, 'sh', process.execPath, bin], { cwd });
  const [, url = ''] = await shell.untilStdout(/serving at (\S+)/);
  const { pid } = JSON.parse(readFileSync(path.join(cwd, '.trainguard', 'serve', 'server.json'), 'utf8')) as {
    pid: number;
  };
  process.kill(pid, 'SIGHUP');
  const token = readFileSync(path.join(cwd, '.trainguard', 'serve', 'token'), 'utf8').trim();
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  const call = (method: string, target: string): Promise<Response> =>
    fetch(`${url}${target}`, { method, headers, ...(method !== 'GET' && { body: '{}' }) });
  assert.equal((await call('PUT', '/v1/workers/w0')).status, 201);
  // each is told, to nobody
  for (let n = 0; n < 3; n++) assert.equal((await call('POST', '/v1/workers/w0/failures')).status, 200);
  assert.equal((await call('GET', '/v1/health')).status, 200);
  process.kill(pid, 'SIGTERM');
});

test('a state folder that cannot be made is no error of ours', async (t) => {
  const cwd = tempDir(t);
  writeFileSync(path.join(cwd, 'file'), '');
  const { code, stderr } = await runCli(t, ['serve', '--state-dir', 'file', '--port', '0'], { cwd }).done;
  assert.match(stderr, /^trainguard: cannot use the folder .*file.serve: .*--state-dir\n$/);
  assert.equal(code, 78);
});

test('SIGUSR2 does not end it, and an address counts in the form it was given in', async (t) => {
  const { running, call, port } = await serve(t, tempDir(t), '--host', '0:0:0:0:0:0:0:1');
  running.kill('SIGUSR2');
  assert.equal((await call('GET', '/v1/health')).status, 200);
  const headers = { Host: `[0:0:0:0:0:0:0:1]:${port}` };
  const status = await new Promise((resolve, reject) => {
    http
      .get({ host: '::1', port, headers }, (answer) => resolve(answer.resume().statusCode))
      .on('error', reject);
  });
  assert.equal(status, 401, 'the token is what is missing');
});

test('a hundred workers that fail in the same instant are not a hundred lines', async (t) => {
  const { running, call } = await serve(t, tempDir(t));
  const ids = Array.from({ length: 100 }, (_, n) => `w${n}`);
  await Promise.all(ids.map((id) => call('PUT', `/v1/workers/${id}`, {})));
  await Promise.all(
    ids.map((id) => call('POST', `/v1/workers/${id}/failures`, { reason: 'its node is gone' })),
  );
  running.kill('SIGTERM');
  const { stderr } = await running.done;
  assert.match(stderr, /worker w\d+ failed \(its 1 failure so far\): its node is gone/);
  assert.match(stderr, /95 more workers failed: w\d+, w\d+, w\d+ and 92 others/);
  assert.ok(stderr.split('\n').length < 20, stderr);
});

describe('abuse', () => {
  test('wrong tokens, hosts, origins and paths are refused, and nothing comes of them', async (t) => {
    const cwd = tempDir(t);
    const serving = await serve(t, cwd);
    await serving.call('PUT', '/v1/workers/w0', {});
    const before = treeOf(cwd);
    const refused = async (status: number, path: string, headers?: Record<string, string>): Promise<void> => {
      const answer = await rawRequest(serving, path, headers);
      assert.equal(answer.status, status, `${path}: ${answer.detail}`);
      assert.match(answer.detail, /^[^]{20,300}\.$/, path);
    };
    await refused(401, '/v1/health', { Authorization: 'Bearer wrong' });
    await refused(401, '/v1/health', { Authorization: '' });
    await refused(401, '/openapi.json', { Authorization: `Basic ${serving.token}` });
    await refused(403, '/v1/health', { Host: 'evil.example' });
    await refused(403, '/v1/health', { Origin: 'https://evil.example' });
    await refused(400, '/v1/workers/../../token');
    await refused(400, '/v1/workers/%2e%2e%2f%2e%2e%2ftoken');
    await refused(400, '/v1/workers/..%2ftoken');
    await refused(400, '/v1/workers/a%2f..%2ftoken/checkpoints/latest');
    await refused(400, '/v1/workers/%00');
    assert.deepEqual(treeOf(cwd), before);
    await isStillServing(serving, 1);
  });

  test('1 GB is refused long before it was sent, and takes no memory', async (t) => {
    const serving = await serve(t, tempDir(t));
    await serving.call('PUT', '/v1/workers/w0', {});
    const before = residentBytes(serving.running.pid);
    for (const path of ['/v1/workers/w0/checkpoints', '/v1/heartbeats']) {
      for (const chunked of [false, true]) {
        const { status, sent } = await sendGigabyte(serving, path, chunked);
        assert.equal(status, 413, `${path} ${chunked ? 'in chunks' : 'with its length'}`);
        assert.ok(sent < 100_000_000, `${path}: ${sent} bytes were sent`);
      }
    }
    const grown = (residentBytes(serving.running.pid) ?? 0) - (before ?? 0);
    assert.ok(grown < 150_000_000, `${grown} bytes`);
    await isStillServing(serving, 1);
  });

  test('more connections than there is room for do not lock a worker out', async (t) => {
    const serving = await serve(t, tempDir(t), '--max-connections', '20');
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    atEnd(t, () => agent.destroy());
    const beat = (): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const headers = { Authorization: `Bearer ${serving.token}` };
        const request = http.get({ port: serving.port, path: '/v1/health', agent, headers }, (answer) => {
          const from = request.socket?.localPort;
          answer.resume().on('end', () => resolve(answer.statusCode === 200 ? from : undefined));
        });
        request.on('error', reject);
      });
    const from = await beat();
    const sockets = await strangers(t, serving.port, 1500);
    await eventually(() => sockets.filter(({ destroyed }) => destroyed).length >= 1500 - 20 - 1024 + 1, 'the oldest go'); // prettier-ignore
    assert.equal(await beat(), from, 'it has the same connection');
    await isStillServing(serving, 0);
    await serving.running.untilStderr(/never showed the token are closed, the oldest first/);
  });
});

describe('who is let in', () => {
  test('no other machine without TLS', async (t) => {
    const { code, stderr } = await runCli(t, ['serve', '--host', '0.0.0.0'], { cwd: tempDir(t) }).done;
    assert.equal(code, 78, stderr);
    assert.match(
      stderr,
      /^trainguard: --host 0\.0\.0\.0 lets other machines in.*--tls-key, or --insecure.*\n$/,
    );
  });

  test('a port that was asked for and is taken', async (t) => {
    const { port } = await serve(t, tempDir(t));
    const { code, stderr } = await runCli(t, ['serve', '--port', String(port)], { cwd: tempDir(t) }).done;
    assert.equal(code, 75, stderr);
    assert.match(stderr, new RegExp(`port ${port} of 127.0.0.1 is taken by another program`));
  });

  test('by HTTPS, from every address', async (t) => {
    const cwd = tempDir(t);
    const odd = path.join(cwd, "o d'd ä$x");
    mkdirSync(odd);
    const { certFile, keyFile } = asFiles(odd, 'one', one);
    const serving = await serve(t, cwd, '--host', '0.0.0.0', '--tls-cert', certFile, '--tls-key', keyFile);
    assert.match(serving.url, /^https:/);
    const [, words = ''] = await serving.running.untilStderr(/workers find it by (.*)\n/);
    const script = `${words}; printf '%s\n' "$TRAINGUARD_URL" "$TRAINGUARD_TOKEN_FILE" "$TRAINGUARD_CA"`;
    const read = execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' });
    assert.equal(read, `${serving.url}\n${serving.tokenFile}\n${certFile}\n`);
    const status = await new Promise((resolve, reject) => {
      const headers = { Authorization: `Bearer ${serving.token}` };
      const request = https.get(
        { host: '127.0.0.1', port: serving.port, path: '/v1/health', headers, ca: one.cert, agent: false },
        (answer) => {
          answer.resume().on('end', () => resolve(answer.statusCode));
        },
      );
      request.on('error', reject);
    });
    assert.equal(status, 200);
  });
});
