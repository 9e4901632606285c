import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs/promises';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { mock, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { WorkerChange } from '../../src/recovery/ports.js';
import type { Answer } from '../../src/serve/answers.js';
import {
  openWorkerJournal,
  type WorkerJournal,
  type WorkerJournalOptions,
} from '../../src/serve/worker-journal.js';
import { everyFault } from '../support/faults.js';
import { tempDir } from '../support/temp-dir.js';
import { beating } from './worker-journal-support.js';

async function open(dir: string, options: WorkerJournalOptions = {}): Promise<WorkerJournal> {
  const opened = await openWorkerJournal(dir, options);
  assert.ok(opened.ok, opened.ok ? '' : opened.error.message);
  return opened.value;
}

/** What a journal remembers, by worker; it is closed again. */
async function remembered(dir: string): Promise<Record<string, number>> {
  const journal = await open(dir);
  await journal.close();
  return Object.fromEntries(
    journal.remembered.workers.map(({ worker }) => [worker.workerId, worker.currentBatch]),
  );
}

const put = { key: 'k', method: 'PUT', path: '/v1/workers/w' };
const created = { status: 201, body: '{"workerId":"w"}' };
const nothing = (): Promise<Answer> => Promise.resolve({ status: 404, body: '' });
const never = (): Promise<never> => Promise.reject(new Error('it was done twice'));

/** How often files are synced from now on. */
async function countSyncs(t: TestContext, dir: string): Promise<() => number> {
  const handle = await fs.open(dir);
  const prototype = Object.getPrototypeOf(handle) as { sync: () => Promise<void> };
  await handle.close();
  const sync = mock.method(prototype, 'sync');
  t.after(() => sync.mock.restore());
  return () => sync.mock.callCount();
}

test('a new one remembers nobody and watches; its file is 0600', async (t) => {
  const dir = tempDir(t);
  const journal = await open(dir);
  assert.deepEqual(journal.remembered, { workers: [], monitoring: true });
  await journal.close();
  assert.equal(statSync(path.join(dir, 'journal.jsonl')).mode & 0o777, 0o600);
  await assert.rejects(journal.append([beating('w', 1)], true), /is closed/);
});

test('whatever happens to workers is there again in the next life, over any number of compactions', async (t) => {
  const dir = tempDir(t);
  const model = new Map<string, WorkerChange>();
  let seed = 1;
  const chance = (below: number): number => {
    seed = (seed * 48271) % 2147483647;
    return seed % below;
  };
  let batch = 0;
  let compactions = 0;
  for (let life = 0; life < 6; life++) {
    const journal = await open(dir, { compactAt: 5000 });
    assert.deepEqual(
      journal.remembered.workers.toSorted((a, b) => (a.worker.workerId < b.worker.workerId ? -1 : 1)),
      [...model.values()]
        .flatMap((change) =>
          change.type === 'worker' ? [{ worker: change.worker, limits: change.limits }] : [],
        )
        .toSorted((a, b) => (a.worker.workerId < b.worker.workerId ? -1 : 1)),
    );
    const waiting: Promise<void>[] = [];
    for (let n = 0; n < 150; n++) {
      const id = `w${chance(30)}`;
      const changes: WorkerChange[] = [];
      for (let k = 0; k <= chance(3); k++) {
        const before = model.get(id);
        if (chance(8) === 0) changes.push({ type: 'gone', workerId: id });
        else if (before?.type === 'worker' && chance(4) > 0) {
          batch++;
          const worker = { ...before.worker, currentBatch: batch, lastHeartbeat: batch * 3 };
          changes.push({ ...before, worker });
        } else
          changes.push(
            beating(id, ++batch, { failureCount: chance(3), status: chance(2) ? 'failed' : 'active' }),
          );
        const last = changes.at(-1)!;
        if (last.type === 'gone') model.delete(id);
        else model.set(id, last);
      }
      waiting.push(journal.append(changes, chance(10) === 0));
      if (chance(5) === 0) await Promise.all(waiting);
    }
    await Promise.all(waiting);
    await journal.close();
    if (readdirSync(dir).includes('state.json')) compactions++;
    assert.ok(!readdirSync(dir).includes('journal.old.jsonl'));
  }
  assert.ok(compactions > 3);
});

test('whether workers are watched is remembered', async (t) => {
  const dir = tempDir(t);
  const journal = await open(dir);
  await journal.append([{ type: 'monitoring', monitoring: false }], true);
  await journal.close();
  assert.equal((await open(dir)).remembered.monitoring, false);
});

test('what need not survive a power cut is not waited for; what comes at once goes to disk at once', async (t) => {
  const dir = tempDir(t);
  const journal = await open(dir);
  const syncs = await countSyncs(t, dir);
  await journal.append([beating('w', 1)], false);
  assert.equal(syncs(), 0);
  await Promise.all(Array.from({ length: 100 }, (_, n) => journal.append([beating(`v${n}`, 1)], true)));
  assert.equal(syncs(), 1);
  assert.equal(readFileSync(path.join(dir, 'journal.jsonl'), 'utf8').trimEnd().split('\n').length, 2);
  await journal.close();
  assert.equal(Object.keys(await remembered(dir)).length, 101);
});

test('a heartbeat takes a few bytes', async (t) => {
  const dir = tempDir(t);
  const journal = await open(dir);
  const all = (batch: number): WorkerChange[] =>
    Array.from({ length: 1000 }, (_, n) => beating(`a-worker-with-a-long-name-${n}`, batch));
  await journal.append(all(1), true);
  const { size } = statSync(path.join(dir, 'journal.jsonl'));
  await journal.append(all(123_456), false);
  await journal.close();
  const each = (statSync(path.join(dir, 'journal.jsonl')).size - size) / 1000;
  assert.ok(each < 16, `${each} bytes each`);
  assert.equal((await remembered(dir))['a-worker-with-a-long-name-7'], 123_456);
});

test('a request is answered once, in this life and the next', async (t) => {
  const dir = tempDir(t);
  let journal = await open(dir);
  const first = await journal.once(
    put,
    () => 'digest',
    async () => {
      await journal.append([beating('w', 7)], true);
      return { ...created, headers: { location: '/v1/workers/w' } };
    },
  );
  const answer = { ...created, headers: { location: '/v1/workers/w' } };
  assert.deepEqual(first, { type: 'first', answer });
  for (const life of ['this', 'next', 'compacted']) {
    if (life !== 'this') {
      await journal.close();
      journal = await open(dir, { compactAt: 1 });
      await journal.append([beating('v', 1)], true);
    }
    assert.deepEqual(await journal.once(put, () => 'digest', never), { type: 'replayed', answer }, life);
    assert.deepEqual(
      await journal.once(put, () => Promise.resolve('other'), never),
      { type: 'other-body' },
      life,
    );
    assert.deepEqual(await journal.once(put, () => undefined, never), { type: 'other-body' }, life);
  }
  await journal.close();
  assert.ok(readdirSync(dir).includes('state.json'));
});

test('what a request changed and its answer are one line: neither is there without the other', async (t) => {
  const dir = tempDir(t);
  const file = path.join(dir, 'journal.jsonl');
  const journal = await open(dir);
  await journal.append([beating('before', 1)], true);
  const { size } = statSync(file);
  await journal.once(
    put,
    () => 'd',
    async () => {
      await journal.append([beating('w', 7)], true);
      await Promise.resolve();
      await journal.append([beating('w', 8)], true);
      return created;
    },
  );
  await journal.close();
  const whole = readFileSync(file);
  const seen = new Set<boolean>();
  for (let cut = size; cut <= whole.length; cut += 9) {
    const at = Math.min(cut, whole.length);
    writeFileSync(file, whole.subarray(0, at));
    const again = await open(dir);
    const worker = again.remembered.workers.some((one) => one.worker.workerId === 'w');
    const { type } = await again.once({ ...put }, () => 'd', nothing);
    assert.equal(worker, type === 'replayed');
    seen.add(worker);
    await again.close();
    for (const name of readdirSync(dir)) if (name.includes('.torn-')) rmSync(path.join(dir, name));
  }
  writeFileSync(file, whole);
  assert.equal((await remembered(dir))['w'], 8);
  assert.ok(seen.has(false));
});

test('of two that come at once the second waits and is answered like the first', async (t) => {
  const journal = await open(tempDir(t));
  let done = 0;
  const work = async (): Promise<typeof created> => {
    await journal.append([beating('w', ++done)], true);
    return created;
  };
  const both = await Promise.all([1, 2, 3].map(() => journal.once(put, () => 'd', work)));
  assert.deepEqual(
    both.map(({ type }) => type),
    ['first', 'replayed', 'replayed'],
  );
  assert.equal(done, 1);
  await journal.close();
});

test('an error, a request that failed, and a body that was not whole are not kept; what they changed is', async (t) => {
  const dir = tempDir(t);
  const journal = await open(dir);
  const change = (batch: number): Promise<void> => journal.append([beating('w', batch)], true);
  const failing = journal.once(
    put,
    () => 'd',
    async () => {
      await change(1);
      throw new Error('no luck');
    },
  );
  await assert.rejects(failing, /no luck/);
  const refused = await journal.once(put, () => 'd', nothing);
  assert.equal(refused.type, 'first');
  const cut = await journal.once(
    put,
    () => undefined,
    async () => {
      await change(2);
      return created;
    },
  );
  assert.equal(cut.type, 'first');
  assert.equal(
    (
      await journal.once(
        put,
        () => 'd',
        () => Promise.resolve(created),
      )
    ).type,
    'first',
  );
  await journal.close();
  assert.deepEqual(await remembered(dir), { w: 2 });
});

test('what a request leaves running later goes to disk by itself, and one that takes long holds nobody up for good', async (t) => {
  const dir = tempDir(t);
  const journal = await open(dir);
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  let later: Promise<void> | undefined;
  const slow = journal.once(
    put,
    () => 'd',
    async () => {
      await journal.append([beating('w', 1)], true);
      later = released.then(() => journal.append([beating('later', 1)], true));
      await released;
      return created;
    },
  );
  // it settles although the request before it is not answered
  await journal.append([beating('v', 1)], true);
  release();
  assert.equal((await slow).type, 'first');
  await later;
  assert.equal((await journal.once(put, () => 'd', never)).type, 'replayed');
  await journal.close();
  assert.deepEqual(await remembered(dir), { w: 1, v: 1, later: 1 });
});

test('answers are forgotten after 24 hours', async (t) => {
  const dir = tempDir(t);
  let now = 0;
  const journal = await open(dir, { now: () => now });
  const ask = async (): Promise<string> =>
    (
      await journal.once(
        put,
        () => 'd',
        () => Promise.resolve(created),
      )
    ).type;
  assert.deepEqual([await ask(), await ask()], ['first', 'replayed']);
  now = 24 * 3_600_000;
  assert.deepEqual([await ask(), await ask()], ['first', 'replayed']);
  await journal.close();
});

/** A folder with a snapshot, and a journal that goes on from it. */
async function compacted(dir: string): Promise<void> {
  const journal = await open(dir, { compactAt: 3000 });
  for (let batch = 1; batch <= 40; batch++)
    await journal.append(
      Array.from({ length: 5 }, (_, n) => beating(`w${n}`, batch, { failureCount: batch })),
      true,
    );
  await journal.close();
  const after = await open(dir);
  await after.append([beating('w0', 100)], true);
  await after.append([beating('last', 100)], true);
  await after.close();
}

test('a last line that was cut off never counted; it is kept aside', async (t) => {
  const dir = tempDir(t);
  await compacted(dir);
  const file = path.join(dir, 'journal.jsonl');
  const whole = readFileSync(file);
  writeFileSync(file, whole.subarray(0, whole.length - 5));
  const workers = await remembered(dir);
  assert.deepEqual([workers['w0'], workers['last']], [100, undefined]);
  assert.ok(readdirSync(dir).includes('journal.torn-1'));
});

test('damage is a problem with the way out, and nothing is changed', async (t) => {
  const dir = tempDir(t);
  await compacted(dir);
  const refuse = async (message: RegExp): Promise<void> => {
    const before = readdirSync(dir).map((name) => [name, readFileSync(path.join(dir, name), 'latin1')]);
    const opened = await openWorkerJournal(dir);
    assert.ok(!opened.ok);
    assert.equal(opened.error.exit, 125);
    assert.match(opened.error.message, message);
    assert.match(
      opened.error.message,
      /; nothing was changed, move state\.json and the journal files away: workers register again by themselves, and their checkpoints are found$/,
    );
    assert.deepEqual(
      readdirSync(dir).map((name) => [name, readFileSync(path.join(dir, name), 'latin1')]),
      before,
    );
  };
  for (const name of ['journal.jsonl', 'state.json']) {
    const file = path.join(dir, name);
    const whole = readFileSync(file);
    const end = name === 'state.json' ? whole.length : whole.lastIndexOf(10, whole.length - 2);
    for (let at = 20; at < end; at += Math.ceil(end / 40)) {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 4;
      writeFileSync(file, bytes);
      await refuse(new RegExp(`${name.replace('.', '\\.')} is damaged: `));
    }
    writeFileSync(file, whole);
  }
  const state = path.join(dir, 'state.json');
  const whole = readFileSync(state);
  writeFileSync(state, whole.subarray(0, -4));
  await refuse(/state\.json is damaged: its end is missing/);
  writeFileSync(state, '');
  await refuse(/state\.json is damaged: it is empty/);
  rmSync(state);
  await refuse(/journal\.jsonl is damaged: entries 1 to \d+ are missing/);
  writeFileSync(state, whole);
  assert.equal((await remembered(dir))['last'], 100);
});

test('a state that a newer version wrote is left alone', async (t) => {
  const dir = tempDir(t);
  writeFileSync(path.join(dir, 'state.json'), '{"schemaVersion":2,"other":1}\n');
  const opened = await openWorkerJournal(dir);
  assert.ok(!opened.ok);
  assert.match(opened.error.message, /state\.json was written by a newer trainguard/);
});

test('whatever goes wrong where, also amid a compaction, what was acknowledged is there', async (t) => {
  const parent = tempDir(t);
  let stages = 0;
  const left: WorkerJournal[] = [];
  const acknowledged = new Map<string, number>();
  let answered = false;
  /** One after the other, or the same call would not be the nth one each time. */
  const act = async (journal: WorkerJournal, id: string, batch: number): Promise<void> => {
    await journal.append([beating(id, batch, { failureCount: batch })], true).then(
      () => acknowledged.set(id, batch),
      () => undefined,
    );
  };
  const work = async (dir: string): Promise<void> => {
    for (let life = 1; life <= 2; life++) {
      const opened = await openWorkerJournal(dir, { compactAt: 500 });
      if (!opened.ok) {
        assert.ok(opened.error.code, opened.error.message);
        continue;
      }
      const journal = opened.value;
      left.push(journal);
      await act(journal, 'w', 10 * life);
      const once = journal.once(
        put,
        () => 'd',
        async () => {
          await act(journal, 'once', life);
          return created;
        },
      );
      await once.then(
        () => (answered = true),
        () => acknowledged.delete('once'),
      );
      await act(journal, 'w', 10 * life + 1);
      await journal.close();
      left.pop();
    }
  };
  const cases = await everyFault(
    async () => {
      acknowledged.clear();
      answered = false;
      const dir = path.join(parent, `${stages++}`);
      await fs.mkdir(dir);
      return dir;
    },
    work,
    async ({ stage: dir }) => {
      const again = await open(dir);
      const workers = Object.fromEntries(
        again.remembered.workers.map(({ worker }) => [worker.workerId, worker.currentBatch]),
      );
      for (const [id, batch] of acknowledged)
        assert.ok((workers[id] ?? 0) >= batch, `${id} is at ${workers[id]}, not ${batch}`);
      const { type } = await again.once(put, () => 'd', nothing);
      if (answered) assert.equal(type, 'replayed');
      assert.equal(type === 'replayed', workers['once'] !== undefined, 'the change and its answer');
      await act(again, 'w', 100);
      await again.close();
      assert.equal((await remembered(dir))['w'], 100);
      for (const journal of left.splice(0)) await journal.close().catch(() => undefined);
    },
    Number(process.env['STRIDE'] ?? 11),
    // the snapshot is written while appends go on
    true,
  );
  assert.ok(cases >= 25, `only ${cases} cases`);
});

const kills = Number(process.env['KILLS'] ?? 3);
test(`killed ${kills} times while it writes and compacts, it lost nothing that was acknowledged`, async (t) => {
  const dir = tempDir(t);
  const writer = fileURLToPath(new URL('worker-journal-writer.js', import.meta.url));
  const batches = new Map<string, number>();
  const keys = new Set<number>();
  let from = 1;
  let compacting = 0;
  for (let round = 0; round < kills; round++) {
    const child = spawn(process.execPath, [writer, dir, `${from}`], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    const said: string[] = [];
    const enough = 1 + ((round * 7919) % 400);
    for await (const line of readline.createInterface({ input: child.stdout })) {
      said.push(line);
      if (said.length === enough) child.kill('SIGKILL');
    }
    assert.ok(said.length >= enough, `it ended by itself after ${said.length}`);
    for (const line of said) {
      const [n = 0] = /\d+$/.exec(line)?.map(Number) ?? [];
      if (line.startsWith('once')) keys.add(n);
      else batches.set(`w${n % 20}`, Math.max(n, batches.get(`w${n % 20}`) ?? 0));
      from = Math.max(from, n + 50);
    }
    if (readdirSync(dir).includes('journal.old.jsonl')) compacting++;
    const journal = await open(dir);
    const workers = new Map(
      journal.remembered.workers.map(({ worker }) => [worker.workerId, worker.currentBatch]),
    );
    for (const [id, batch] of batches) assert.ok((workers.get(id) ?? 0) >= batch, `${id}, round ${round}`);
    for (let n = 0; n < from; n += 5) {
      const path = '/v1/workers/x';
      const once = await journal.once({ key: `${n}`, method: 'PUT', path }, () => `digest ${n}`, nothing);
      const kept = once.type === 'replayed';
      assert.equal(kept, workers.has(`once-${n}`), `the change ${n} and its answer`);
      if (keys.has(n))
        assert.deepEqual(once, {
          type: 'replayed',
          answer: { status: 201, headers: undefined, body: `{"n":${n}}` },
        });
    }
    await journal.close();
  }
  assert.ok(batches.size > 0 && readdirSync(dir).includes('state.json'));
  t.diagnostic(`${keys.size} answers, ${from} appends, ${compacting} kills amid a compaction`);
});
