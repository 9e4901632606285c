import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { Journal, readJournal } from '../../src/runs/journal.js';
import { files } from '../../src/util/os/durable.js';

interface Entry {
  readonly type: string;
  readonly n: number;
  readonly text?: string;
  readonly loss?: number;
}

let dir: string;
let file: string;
let journals: Journal<Entry>[] = [];
beforeEach(async () => {
  dir = await fs.mkdtemp(path.join(os.tmpdir(), 'tg-journal-'));
  file = path.join(dir, 'journal.jsonl');
});
afterEach(async () => {
  mock.restoreAll();
  for (const journal of journals) await journal.close();
  journals = [];
  await fs.rm(dir, { recursive: true });
});

const entry = (n: number): Entry => ({ type: 'progressed', n, text: `é\n${'x'.repeat(n % 7)}` });

async function open(): Promise<{ entries: Entry[]; journal: Journal<Entry> }> {
  const result = await Journal.open<Entry>(file);
  assert.ok(result.ok, result.ok ? '' : result.error.message);
  journals.push(result.value.journal);
  return result.value;
}

async function written(count: number): Promise<Buffer> {
  const { journal } = await open();
  for (let n = 0; n < count; n++) assert.ok((await journal.append([entry(n)])).ok);
  await journal.close();
  return fs.readFile(file);
}

test('what is appended is read again, in order, NaN and all, by a 0600 file', async () => {
  const { entries, journal } = await open();
  assert.deepEqual(entries, []);
  assert.ok((await journal.append([entry(0), { ...entry(1), loss: NaN }])).ok);
  assert.ok((await journal.append([{ ...entry(2), loss: -Infinity }])).ok);
  await journal.close();
  assert.deepEqual((await open()).entries, [
    entry(0),
    { ...entry(1), loss: NaN },
    { ...entry(2), loss: -Infinity },
  ]);
  assert.equal((await fs.stat(file)).mode & 0o777, 0o600);
  const [first] = (await fs.readFile(file, 'utf8')).split('\n');
  const { schemaVersion, seq, check } = JSON.parse(first!) as Record<string, unknown>;
  assert.deepEqual([schemaVersion, seq, typeof check], [1, 1, 'string']);
});

test('appends that are not waited for keep their order', async () => {
  const { journal } = await open();
  await Promise.all(Array.from({ length: 20 }, (_, n) => journal.append([entry(n)])));
  await journal.close();
  assert.deepEqual(
    (await open()).entries.map(({ n }) => n),
    Array.from({ length: 20 }, (_, n) => n),
  );
});

test('an append answers only after its fsync', async () => {
  const { journal } = await open();
  const handle = await fs.open(file);
  const order: string[] = [];
  const prototype = Object.getPrototypeOf(handle) as { sync: () => Promise<void> };
  const { sync } = prototype;
  mock.method(prototype, 'sync', async function (this: unknown) {
    await sync.call(this);
    order.push('synced');
  });
  await journal.append([entry(0)]);
  order.push('answered');
  assert.deepEqual(order, ['synced', 'answered']);
  await handle.close();
});

test('a last line torn at any byte is dropped, kept aside and written over', async () => {
  const whole = await written(4);
  const lastStart = whole.lastIndexOf(10, whole.length - 2) + 1;
  for (let cut = lastStart; cut < whole.length; cut++) {
    await fs.writeFile(file, whole.subarray(0, cut));
    const read = await readJournal<Entry>(file);
    assert.ok(read.ok);
    assert.deepEqual(read.value.entries, [0, 1, 2].map(entry));
    // reading alone changes nothing
    assert.equal((await fs.stat(file)).size, cut);
    const { entries, journal } = await open();
    assert.equal(entries.length, 3);
    assert.ok((await journal.append([entry(9)])).ok);
    await journal.close();
    const again = await readJournal<Entry>(file);
    assert.deepEqual(again.ok && again.value.entries, [...[0, 1, 2].map(entry), entry(9)]);
    const torn = path.join(dir, 'journal.torn-1');
    if (cut > lastStart) {
      assert.deepEqual(await fs.readFile(torn), whole.subarray(lastStart, cut));
      await fs.unlink(torn);
    } else await assert.rejects(fs.stat(torn), { code: 'ENOENT' });
  }
});

test('any flipped bit before the last newline is reported with its line, and the file stays as it is', async () => {
  const whole = await written(3);
  const lineOf = (at: number): number => whole.subarray(0, at).filter((byte) => byte === 10).length + 1;
  for (let at = 0; at < whole.length - 1; at++) {
    const bytes = Buffer.from(whole);
    bytes[at]! ^= 1 << (at % 7);
    await fs.writeFile(file, bytes);
    const result = await Journal.open<Entry>(file);
    assert.ok(!result.ok, `byte ${at} (${whole.toString('latin1', at, at + 1)}) went unnoticed`);
    const { message } = result.error;
    assert.ok(message.includes(file), message);
    if (!message.includes('newer')) assert.ok(message.includes(`line ${lineOf(at)}: `), `${at}: ${message}`);
    assert.deepEqual(await fs.readFile(file), bytes);
  }
  assert.deepEqual(await fs.readdir(dir), ['journal.jsonl']);
});

test('a line that is missing, or there twice, is damage', async () => {
  const lines = (await written(4)).toString().split(/(?<=\n)/);
  await fs.writeFile(file, [lines[0], lines[2], lines[3]].join(''));
  const missing = await readJournal(file);
  assert.match(missing.ok ? '' : missing.error.message, /line 2: it is entry 3, not 2.*nothing was changed/);
  assert.equal(!missing.ok && missing.error.exit, 125);
  await fs.writeFile(file, [lines[0], lines[1], lines[1]].join(''));
  assert.ok(!(await readJournal(file)).ok);
});

test('a journal of a newer version is refused in words', async () => {
  await fs.writeFile(file, '{"schemaVersion":2,"whatever":1}\n');
  const read = await readJournal(file);
  assert.match(read.ok ? '' : read.error.message, /written by a newer trainguard \(schemaVersion 2, .* 1\)/);
  assert.equal(!read.ok && read.error.exit, 78);
});

for (const failing of ['write', 'sync'] as const) {
  test(`a failed append (${failing}) leaves the file as it was, and the next one works`, async () => {
    await written(2);
    const { journal } = await open();
    const before = await fs.readFile(file);
    const handle = await fs.open(file);
    const prototype = Object.getPrototypeOf(handle) as Record<
      string,
      (...args: unknown[]) => Promise<unknown>
    >;
    const original = prototype[failing]!;
    let calls = 0;
    mock.method(prototype, failing, async function (this: unknown, ...args: unknown[]) {
      calls++;
      // a disk that fills up takes a part first
      if (failing === 'write' && calls === 1) return original.call(this, args[0], 0, 10, args[3]);
      if (failing === 'sync' && calls > 1) return original.call(this);
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    });
    const result = await journal.append([entry(2), entry(3)]);
    assert.ok(!result.ok);
    assert.equal(result.error.code, 'ENOSPC');
    assert.match(result.error.message, /journal.jsonl: ENOSPC.*free some space/);
    assert.deepEqual(await fs.readFile(file), before);
    mock.restoreAll();
    assert.ok((await journal.append([entry(4)])).ok);
    await journal.close();
    await handle.close();
    assert.deepEqual((await open()).entries, [entry(0), entry(1), entry(4)]);
  });
}

test('compaction replaces the whole at once, and appending goes on', async () => {
  await written(5);
  const { journal } = await open();
  assert.ok((await journal.compact([entry(3), entry(4)])).ok);
  assert.ok((await journal.append([entry(5)])).ok);
  await journal.close();
  assert.deepEqual((await open()).entries, [entry(3), entry(4), entry(5)]);
});

for (const failing of ['rename', 'unlink after rename'] as const) {
  test(`a compaction that fails (${failing}) loses nothing`, async () => {
    await written(5);
    const { journal } = await open();
    const { rename } = files;
    mock.method(files, 'rename', async (from: string, to: string) => {
      if (failing !== 'rename') await rename(from, to);
      throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
    });
    assert.ok(!(await journal.compact([entry(3), entry(4)])).ok);
    mock.restoreAll();
    assert.ok((await journal.append([entry(5)])).ok);
    await journal.close();
    const left = (await open()).entries.map(({ n }) => n);
    assert.deepEqual(left, failing === 'rename' ? [0, 1, 2, 3, 4, 5] : [3, 4, 5]);
  });
}

test('an unreadable journal is one sentence', async () => {
  await fs.mkdir(file);
  const result = await Journal.open(file);
  assert.match(
    result.ok ? '' : result.error.message,
    /^cannot read the journal .*EISDIR.*; make the state folder/,
  );
  assert.equal(!result.ok && result.error.exit, 78);
});
