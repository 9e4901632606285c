import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { openWorkerJournal, type WorkerJournal } from '../../src/serve/worker-journal.js';
import { tempDir } from '../support/temp-dir.js';
import { beating } from './worker-journal-support.js';

async function open(dir: string): Promise<WorkerJournal> {
  const opened = await openWorkerJournal(dir);
  assert.ok(opened.ok, opened.ok ? '' : opened.error.message);
  return opened.value;
}

/** A journal with a registration and five heartbeats after it, and what lies between which bytes. */
async function beaten(t: TestContext): Promise<{ dir: string; file: string; durable: number }> {
  const dir = tempDir(t);
  const file = path.join(dir, 'journal.jsonl');
  const journal = await open(dir);
  await journal.append([beating('w', 0)], true);
  const durable = readFileSync(file).length;
  for (let batch = 1; batch <= 5; batch++) await journal.append([beating('w', batch)], false);
  await journal.close();
  return { dir, file, durable };
}

test('heartbeats that a power cut spoiled, whichever of them, are cut off and kept aside', async (t) => {
  const { dir, file, durable } = await beaten(t);
  const whole = readFileSync(file);
  const line = whole.indexOf(10, durable) + 1 - durable;
  for (let spoiled = 0; spoiled < 5; spoiled++) {
    const bytes = Buffer.from(whole);
    const from = durable + spoiled * line;
    // a page that never came, with or without the line's end
    bytes.fill(0, from, from + line - (spoiled % 2));
    writeFileSync(file, bytes);
    const journal = await open(dir);
    assert.equal(journal.remembered.workers[0]?.worker.currentBatch, spoiled);
    assert.deepEqual(readFileSync(path.join(dir, `journal.torn-${spoiled + 1}`)), bytes.subarray(from));
    assert.deepEqual(readFileSync(file), whole.subarray(0, from));
    await journal.append([beating('w', 99)], true);
    await journal.close();
    const again = await open(dir);
    assert.equal(again.remembered.workers[0]?.worker.currentBatch, 99);
    await again.close();
  }
});

test('damage before what had to survive is refused, and nothing is changed', async (t) => {
  const { dir, file, durable } = await beaten(t);
  const journal = await open(dir);
  await journal.append([beating('v', 1)], true);
  await journal.append([beating('v', 2)], false);
  await journal.close();
  const whole = readFileSync(file);
  for (const at of [20, durable - 5, durable + 5, whole.lastIndexOf('"durable"') + 30]) {
    const bytes = Buffer.from(whole);
    bytes[at]! ^= 4;
    writeFileSync(file, bytes);
    const opened = await openWorkerJournal(dir);
    assert.ok(!opened.ok);
    assert.equal(opened.error.exit, 125);
    assert.match(opened.error.message, /journal\.jsonl is damaged: line \d: /);
    assert.deepEqual(readFileSync(file), bytes);
    assert.deepEqual(readdirSync(dir), ['journal.jsonl']);
  }
});

test('half-written files of one that was killed are swept', async (t) => {
  const dir = tempDir(t);
  writeFileSync(path.join(dir, '.state.json.4711.3.tmp'), 'half');
  writeFileSync(path.join(dir, '.mine'), 'whole');
  const journal = await open(dir);
  assert.deepEqual(readdirSync(dir), ['.mine', 'journal.jsonl']);
  await journal.close();
});
