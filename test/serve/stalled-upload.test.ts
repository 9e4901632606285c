import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { openService } from '../../src/serve/service.js';
import { atEnd } from '../support/cleanup.js';
import { eventually } from '../support/eventually.js';
import { tempDir } from '../support/temp-dir.js';

test('who sends again under the same key does not wait for a sender that is gone', async (t) => {
  const dir = path.join(tempDir(t), 'serve');
  const notices: string[] = [];
  const opened = await openService({ dir, port: 0, notice: (text) => notices.push(text) });
  assert.ok(opened.ok);
  const { url, port, tokenFile, manager } = opened.value;
  atEnd(t, () => opened.value.close());
  const authorization = `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`;
  const target = '/v1/workers/a/checkpoints';
  const headers = { authorization, 'content-type': 'application/json', 'idempotency-key': 'k' };

  // a network that went away: no end of the body, and no end of the connection
  const stalled = net.connect(port, '127.0.0.1').on('error', () => undefined);
  atEnd(t, () => void stalled.destroy());
  const gone = new Promise((resolve) => stalled.resume().once('close', resolve));
  const lines = Object.entries({ host: 'localhost', 'content-length': '200000', ...headers });
  stalled.write(
    `POST ${target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
  );
  stalled.write(`"${'x'.repeat(100_000)}`);
  const folder = path.join(dir, 'checkpoints', 'a');
  await eventually(() => readdirSync(folder).length > 0, 'the first to be read', 60_000);

  const again = await fetch(`${url}${target}`, {
    method: 'POST',
    headers,
    body: '{"step":2}',
    // the server itself would wait for twice as long
    signal: AbortSignal.timeout(60_000),
  });
  assert.equal(again.status, 201);
  assert.equal(again.headers.get('idempotency-replayed'), null);
  await gone;
  assert.deepEqual((await manager.checkpoints.load('a'))?.state, { step: 2 });
  assert.equal(readdirSync(folder).length, 1);
  assert.deepEqual(notices, []);
});
