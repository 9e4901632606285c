import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { openSupervisorLog } from '../../src/runs/supervisor-log.js';

let dir: string;
let file: string;
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'tg-log-'));
  file = path.join(dir, 'supervisor.log');
});
afterEach(() => {
  mock.restoreAll();
  fs.rmSync(dir, { recursive: true });
});

const lines = (name = file): Record<string, unknown>[] =>
  fs
    .readFileSync(name, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('an entry is on the disk when the call returns, with its level, time and fields, secrets masked', async () => {
  const log = await openSupervisorLog(file);
  log.warn('cannot reach https://me:hunter2@host/x', {
    attempt: 3,
    env: 'HF_TOKEN=hf_abcdefghijklmnopqrstu',
  });
  const [entry] = lines();
  assert.deepEqual(
    [entry?.['level'], entry?.['attempt'], entry?.['schemaVersion'], entry?.['pid']],
    ['warn', 3, 1, process.pid],
  );
  assert.equal(entry?.['message'], 'cannot reach https://***@host/x');
  assert.equal(entry['env'], 'HF_TOKEN=***');
  assert.ok(!Number.isNaN(Date.parse(String(entry['time']))));
  assert.equal(fs.statSync(file).mode & 0o777, 0o600);
  log.close();
});

test('it is bounded: the full one becomes .1, and the one before goes', async () => {
  const log = await openSupervisorLog(file, 2000);
  for (let n = 0; n < 200; n++) log.info('entry', { n });
  log.close();
  assert.deepEqual(fs.readdirSync(dir).sort(), ['supervisor.log', 'supervisor.log.1']);
  assert.ok(fs.statSync(file).size <= 2000 && fs.statSync(`${file}.1`).size <= 2000);
  const kept = [...lines(`${file}.1`), ...lines()].map((line) => Number(line['n']));
  assert.equal(kept.at(-1), 199);
  kept.slice(1).forEach((n, i) => assert.equal(n, kept[i]! + 1));
});

test('a full disk throws nothing, and afterwards the log says what is missing', async () => {
  const log = await openSupervisorLog(file);
  log.info('before');
  const { writeSync } = fs;
  let calls = 0;
  mock.method(fs, 'writeSync', (fd: number, bytes: Buffer, offset: number) => {
    // a disk that fills up takes a part first
    if (calls++ === 0) return writeSync(fd, bytes, offset, 5);
    throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
  });
  log.info('lost 1');
  log.error('lost 2');
  mock.restoreAll();
  log.info('after');
  log.close();
  const text = fs.readFileSync(file, 'utf8');
  assert.match(text, /"lost":2,"why":"ENOSPC: no space left"/);
  assert.match(text.trim().split('\n').at(-1) ?? '', /^\{.*"after"\}$/);
});

test('a folder that is gone throws nothing', async () => {
  const log = await openSupervisorLog(path.join(dir, 'gone', 'supervisor.log'));
  log.error('nobody hears this');
  log.close();
  assert.deepEqual(fs.readdirSync(dir), []);
});
