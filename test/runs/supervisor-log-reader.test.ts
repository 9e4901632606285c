import assert from 'node:assert/strict';
import { appendFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openSupervisorLog } from '../../src/runs/supervisor-log.js';
import { SupervisorLogReader } from '../../src/runs/supervisor-log-reader.js';
import { tempDir } from '../support/temp-dir.js';

const messages = async (reader: SupervisorLogReader): Promise<readonly string[]> =>
  (await reader.read()).map(({ message }) => message);

test('what is added is read once, with its tone', async (t) => {
  const file = path.join(tempDir(t), 'supervisor.log');
  const log = await openSupervisorLog(file);
  log.info('before');
  const reader = await SupervisorLogReader.open(file);
  assert.deepEqual(await reader.read(), []);
  log.info('one', { tone: 'failure' });
  const [entry] = await reader.read();
  assert.deepEqual([entry?.message, entry?.tone], ['one', 'failure']);
  assert.ok(Date.parse(entry?.time ?? '') > 0);
  assert.deepEqual(await reader.read(), []);
  log.close();
  await reader.close();
});

test('a log that is not there yet, or whose lines are not whole yet, is waited for', async (t) => {
  const file = path.join(tempDir(t), 'supervisor.log');
  const reader = await SupervisorLogReader.open(file);
  assert.deepEqual(await reader.read(), []);
  appendFileSync(file, '{"time":"2026-01-31T10:00:00Z","message":"gr');
  assert.deepEqual(await messages(reader), []);
  appendFileSync(file, 'ün"}\n\nno JSON\n7\n{"lost":3}\n');
  assert.deepEqual(await messages(reader), ['grün']);
  await reader.close();
});

test('nothing is lost when the log is rotated', async (t) => {
  const file = path.join(tempDir(t), 'supervisor.log');
  const log = await openSupervisorLog(file, 2000);
  log.info('before');
  const reader = await SupervisorLogReader.open(file);
  const all: string[] = [];
  for (let n = 0; n < 100; n++) {
    log.info(`line ${n}`);
    if (n % 7 === 0) all.push(...(await messages(reader)));
  }
  all.push(...(await messages(reader)));
  assert.deepEqual(
    all,
    Array.from({ length: 100 }, (_, n) => `line ${n}`),
  );
  log.close();
  renameSync(file, `${file}.1`);
  assert.deepEqual(await messages(reader), []);
  await reader.close();
});
