import assert from 'node:assert/strict';
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openWorkerJournal } from '../../src/serve/worker-journal.js';
import { openOrRenewWorkerJournal } from '../../src/serve/worker-journal-renew.js';
import type { TestEnd } from '../support/cleanup.js';
import { tempDir } from '../support/temp-dir.js';
import { beating } from './worker-journal-support.js';

/** A folder whose journal knows a worker. */
async function known(t: TestEnd): Promise<string> {
  const dir = tempDir(t);
  const opened = await openWorkerJournal(dir);
  assert.ok(opened.ok);
  await opened.value.append([beating('a', 7), beating('b', 8)], true);
  await opened.value.append([beating('a', 9)], true);
  await opened.value.close();
  return dir;
}

const damages: readonly [string, (dir: string) => void, RegExp][] = [
  [
    'a state that was cut off',
    (dir) => writeFileSync(path.join(dir, 'state.json'), '{"schemaVersion":1,"seq":1'),
    /kept as journal\.jsonl\.damaged-1, state\.json\.damaged-1 in /,
  ],
  [
    'a journal of something else',
    (dir) => {
      truncateSync(path.join(dir, 'journal.jsonl'));
      writeFileSync(path.join(dir, 'journal.jsonl'), 'hello\nworld\n');
    },
    /kept as journal\.jsonl\.damaged-1 in /,
  ],
];
for (const [what, damage, says] of damages) {
  test(`${what} is moved aside, which is told, and the journal begins anew`, async (t) => {
    const dir = await known(t);
    damage(dir);
    const bytes = (name: string): string => readFileSync(path.join(dir, name), 'latin1');
    const before = bytes('journal.jsonl');
    assert.equal((await openWorkerJournal(dir)).ok, false);
    const notices: string[] = [];
    const renewed = await openOrRenewWorkerJournal(dir, { onNotice: (text) => notices.push(text) });
    assert.ok(renewed.ok);
    assert.deepEqual(renewed.value.remembered, { workers: [], monitoring: true });
    await renewed.value.append([beating('c', 1)], true);
    await renewed.value.close();
    assert.equal(bytes('journal.jsonl.damaged-1'), before);
    assert.equal(notices.length, 1);
    assert.match(notices[0]!, says);
    const again = await openWorkerJournal(dir);
    assert.ok(again.ok);
    assert.deepEqual(
      again.value.remembered.workers.map(({ worker }) => worker.workerId),
      ['c'],
    );
    await again.value.close();
  });
}

test('what is whole stays, and what a newer version wrote is not moved', async (t) => {
  const dir = await known(t);
  const opened = await openOrRenewWorkerJournal(dir, {});
  assert.ok(opened.ok);
  assert.equal(opened.value.remembered.workers.length, 2);
  await opened.value.close();
  writeFileSync(path.join(dir, 'state.json'), '{"schemaVersion":99,"seq":1');
  const before = readdirSync(dir);
  const refused = await openOrRenewWorkerJournal(dir, {});
  assert.equal(refused.ok ? 0 : refused.error.exit, 78);
  assert.deepEqual(readdirSync(dir), before);
});
