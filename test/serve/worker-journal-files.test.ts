import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openWorkerJournal, type WorkerJournal } from '../../src/serve/worker-journal.js';
import { files } from '../../src/util/os/durable.js';
import { tempDir } from '../support/temp-dir.js';
import { beating, failClosing } from './worker-journal-support.js';

const sick = (call: string): Error => Object.assign(new Error(`EIO: i/o error, ${call}`), { code: 'EIO' });

async function open(dir: string, notices: string[] = [], compactAt = 2000): Promise<WorkerJournal> {
  const opened = await openWorkerJournal(dir, { compactAt, onNotice: (text) => notices.push(text) });
  assert.ok(opened.ok);
  return opened.value;
}

/** Appends so often that a new journal is begun several times. */
async function appendMany(journal: WorkerJournal): Promise<void> {
  for (let batch = 1; batch <= 100; batch++)
    await journal.append([beating('w', batch, { failureCount: batch })], true);
}

async function lastBatch(dir: string): Promise<number | undefined> {
  const journal = await open(dir);
  await journal.close();
  return journal.remembered.workers[0]?.worker.currentBatch;
}

test('a disk that refuses to close the journal ends nothing: it is told', async (t) => {
  const dir = tempDir(t);
  const notices: string[] = [];
  failClosing(t, 'journal.jsonl', sick('close'));
  const journal = await open(dir, notices, 1e6);
  await journal.append([beating('w', 3)], true);
  await journal.close();
  assert.deepEqual(notices, [
    'the journal of the workers could not be closed in order: EIO: i/o error, close',
  ]);
  t.mock.restoreAll();
  assert.equal(await lastBatch(dir), 3);
});

test('nor does it keep the next journal from being begun', async (t) => {
  const dir = tempDir(t);
  const notices: string[] = [];
  failClosing(t, 'journal.jsonl', sick('close'));
  const journal = await open(dir, notices);
  await appendMany(journal);
  await journal.close();
  assert.deepEqual(
    notices.filter((text) => !text.includes('could not be closed in order: EIO')),
    [],
  );
  assert.ok(notices.length > 1 && existsSync(path.join(dir, 'state.json')));
  t.mock.restoreAll();
  assert.equal(await lastBatch(dir), 100);
});

test('a rename that was done, and of which the disk says that it failed, was done', async (t) => {
  const dir = tempDir(t);
  const rename = files.rename;
  let lied = 0;
  t.mock.method(files, 'rename', async (from: string, to: string): Promise<void> => {
    await rename(from, to);
    if (!to.endsWith('journal.old.jsonl')) return;
    lied++;
    throw sick('rename');
  });
  const notices: string[] = [];
  const journal = await open(dir, notices);
  await appendMany(journal);
  await journal.close();
  assert.ok(lied > 1);
  assert.deepEqual(notices, []);
  t.mock.restoreAll();
  assert.equal(await lastBatch(dir), 100);
});

test('a torn end is told of, and where it is kept', async (t) => {
  const dir = tempDir(t);
  const journal = await open(dir, [], 1e6);
  await journal.append([beating('w', 3)], true);
  await journal.append([beating('w', 4)], false);
  await journal.close();
  const file = path.join(dir, 'journal.jsonl');
  writeFileSync(file, readFileSync(file).subarray(0, -5));
  const notices: string[] = [];
  const again = await open(dir, notices);
  await again.close();
  assert.equal(notices.length, 1);
  const [, kept = ''] = /that end is kept in (\S+), and nothing .* durable is in it$/.exec(notices[0]!) ?? [];
  assert.ok(existsSync(kept), notices[0]);
  assert.equal(await lastBatch(dir), 3);
  assert.equal(readdirSync(dir).filter((name) => name.includes('torn')).length, 1);
});
