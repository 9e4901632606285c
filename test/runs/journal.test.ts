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

for (const kind of ['as it grew', 'compacted'] as const) {
  /** Three entries, and what the file must never be read as anything but a beginning of. */
  const sample = async (): Promise<Buffer> => {
    if (kind === 'as it grew') return await written(3);
    const { journal } = await open();
    assert.ok((await journal.append([entry(7)])).ok);
    assert.ok((await journal.compact([entry(0), entry(1)])).ok);
    assert.ok((await journal.append([entry(2)])).ok);
    await journal.close();
    return fs.readFile(file);
  };

  test(`cut at any byte (${kind}), what is read is a beginning of the truth, and nothing is lost of the rest`, async () => {
    const whole = await sample();
    for (let cut = 0; cut <= whole.length; cut++) {
      await fs.writeFile(file, whole.subarray(0, cut));
      const read = await readJournal<Entry>(file);
      assert.ok(read.ok, `cut at ${cut}`);
      const lines = whole.subarray(0, cut).filter((byte) => byte === 10).length;
      assert.deepEqual(read.value.entries, [0, 1, 2].slice(0, lines).map(entry));
      assert.deepEqual(
        Buffer.concat([whole.subarray(0, read.value.size), read.value.torn]),
        whole.subarray(0, cut),
      );
    }
  });

  test(`any flipped bit (${kind}) is read as a beginning of the truth, or refused with its line; the file stays as it is`, async () => {
    const whole = await sample();
    const lineOf = (at: number): number => whole.subarray(0, at).filter((byte) => byte === 10).length + 1;
    let refusals = 0;
    for (let at = 0; at < whole.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const bytes = Buffer.from(whole);
        bytes[at]! ^= 1 << bit;
        await fs.writeFile(file, bytes);
        const result = await readJournal<Entry>(file);
        const where = `byte ${at} (${whole.toString('latin1', at, at + 1)}), bit ${bit}`;
        if (result.ok) {
          // the last newline became another byte: a torn line; or a version that never was
          const { entries } = result.value;
          assert.deepEqual(entries, [0, 1, 2].slice(0, entries.length).map(entry), where);
          const last = at === whole.length - 1;
          assert.equal(entries.length, last ? 2 : 3, where);
          assert.ok(last || bytes.toString('latin1', at - 16, at + 1) === '"schemaVersion":0', where);
          continue;
        }
        refusals++;
        const { message } = result.error;
        assert.ok(message.includes(file), message);
        if (!message.includes('newer trainguard'))
          assert.match(message, new RegExp(`line ${lineOf(at)}: .*nothing was changed, move it away`));
        const opened = await Journal.open<Entry>(file);
        assert.equal(!opened.ok && opened.error.message, message);
        assert.deepEqual(await fs.readFile(file), bytes);
      }
    }
    assert.equal(
      refusals,
      whole.length * 8 - 8 - 3,
      'all but those of the last newline and of three versions',
    );
    assert.deepEqual(await fs.readdir(dir), ['journal.jsonl']);
  });
}

test('a newer line in the middle is refused and left alone', async () => {
  const lines = (await written(3)).toString().split(/(?<=\n)/);
  const bytes = [lines[0], lines[1]?.replace('"schemaVersion":1', '"schemaVersion":2'), lines[2]].join('');
  await fs.writeFile(file, bytes);
  const result = await Journal.open<Entry>(file);
  assert.match(
    result.ok ? '' : result.error.message,
    /journal\.jsonl was written by a newer trainguard .* use that/,
  );
  assert.equal(await fs.readFile(file, 'utf8'), bytes);
});

test('numbers go on through a compaction, so that a lost end is known by the last of them', async () => {
  await written(5);
  const { journal } = await open();
  assert.equal(journal.last, 5);
  assert.ok((await journal.compact([entry(3), entry(4)])).ok);
  assert.ok((await journal.append([entry(5)])).ok);
  assert.equal(journal.last, 8);
  await journal.close();
  const lines = (await fs.readFile(file, 'utf8')).split(/(?<=\n)/);
  await fs.writeFile(file, lines.slice(0, 2).join(''));
  const read = await readJournal<Entry>(file);
  assert.equal(read.ok && read.value.last, 7);
  // the number of the first line, which no neighbour vouches for, is under its checksum
  await fs.writeFile(file, lines[0]!.replace('"seq":6', '"seq":9'));
  const changed = await readJournal(file);
  assert.match(changed.ok ? '' : changed.error.message, /line 1: its checksum does not match/);
});

test('what is left of a journal that lost its end is kept, and its successor goes on behind what is known', async () => {
  const whole = await written(3);
  const { journal } = await open();
  const restored = await journal.restore(entry(9), 12);
  assert.equal(restored.ok && restored.value, `${file}.damaged-1`);
  assert.deepEqual(await fs.readFile(`${file}.damaged-1`), whole);
  assert.ok((await journal.append([entry(10)])).ok);
  assert.equal(journal.last, 14);
  await journal.close();
  assert.deepEqual((await open()).entries, [entry(9), entry(10)]);
});

test('a journal that is deleted under its writer is put back, all of it; one that was replaced is left alone', async () => {
  const made: string[] = [];
  const opened = await Journal.open<Entry>(file, {
    onDeleted: async () => {
      made.push(dir);
      await fs.mkdir(dir, { recursive: true });
      return { ok: true, value: undefined };
    },
  });
  assert.ok(opened.ok);
  const { journal } = opened.value;
  journals.push(journal);
  assert.ok((await journal.append([entry(0), entry(1)])).ok);
  await fs.rm(dir, { recursive: true });
  assert.ok((await journal.append([entry(2)])).ok);
  assert.deepEqual(made, [dir]);
  const back = await readJournal<Entry>(file);
  assert.deepEqual(back.ok && back.value.entries, [0, 1, 2].map(entry));
  await fs.rm(file);
  assert.ok((await journal.append([])).ok, 'also with nothing to write');
  assert.equal((await fs.stat(file)).mode & 0o777, 0o600);
  await fs.rm(file);
  await fs.writeFile(file, 'another');
  const refused = await journal.append([entry(3)]);
  assert.match(
    refused.ok ? '' : refused.error.message,
    /journal\.jsonl was replaced by another file; .*move/,
  );
  assert.equal(await fs.readFile(file, 'utf8'), 'another');
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
