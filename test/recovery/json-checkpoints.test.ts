import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import {
  chmodSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { JsonCheckpoints } from '../../src/recovery/json-checkpoints.js';
import { files } from '../../src/util/os/durable.js';
import { everyFault } from '../support/faults.js';
import { tempDir } from '../support/temp-dir.js';

const form = /^\d{8}T\d{6}\.\d{3}Z-\d{6}\.[0-9a-f]{64}\.json$/;
const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

async function* body(...chunks: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    await Promise.resolve();
    yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
  }
}

async function textOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const blocks: Uint8Array[] = [];
  for await (const block of bytes) blocks.push(block);
  return Buffer.concat(blocks).toString();
}

test('a state that was saved is loaded as it was, from a file that any program can read and check', async (t) => {
  const dir = path.join(tempDir(t), 'not', 'there yet');
  const checkpoints = new JsonCheckpoints({
    dir,
    keep: 3,
    now: () => Date.UTC(2026, 10, 22, 11, 33, 18, 123),
  });
  assert.equal(await checkpoints.load('w1'), null);
  assert.equal(await checkpoints.newest('w1'), null);
  const state = { epoch: 3, lr: -0, ['__proto__']: [1], z: 1, a: 2 };
  const saving = checkpoints.save('w1', state);
  state.epoch = 4; // what becomes of it later does not matter
  const saved = await saving;
  state.epoch = 3;
  assert.deepEqual(await checkpoints.load('w1'), { state, checkpoint: saved });
  const text = readFileSync(saved.path, 'utf8');
  assert.equal(text, '{"epoch":3,"lr":-0,"__proto__":[1],"z":1,"a":2}');
  assert.equal(path.basename(saved.path), `20261122T113318.123Z-000000.${sha256(text)}.json`);
  assert.deepEqual(
    [saved.sha256, saved.bytes, saved.savedAt],
    [sha256(text), text.length, Date.UTC(2026, 10, 22, 11, 33, 18, 123)],
  );
  assert.equal(await checkpoints.newest('w1'), saved.path);
  assert.equal(statSync(saved.path).mode & 0o777, 0o600);
  assert.equal(statSync(path.dirname(saved.path)).mode & 0o777, 0o700);
  assert.equal(statSync(dir).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(dir), ['w1']);
});

test('a stream is kept byte by byte, and given back as one', async (t) => {
  const checkpoints = new JsonCheckpoints({ dir: tempDir(t), keep: 1 });
  const text = ' {"big":12345678901234567890123, "é": 1e999}\n';
  const bytes = Buffer.from(text);
  const saved = await checkpoints.saveStream('w', body(...[...bytes].map((byte) => Buffer.of(byte))), {
    maxBytes: bytes.length,
    sha256: sha256(text),
  });
  assert.ok(saved.ok);
  const opened = await checkpoints.open('w');
  assert.ok(opened);
  assert.deepEqual(opened.checkpoint, saved.value);
  assert.equal(await textOf(opened.bytes), text);
});

test('a stream of some MiB is never held whole, and lets others have their turn', async (t) => {
  const checkpoints = new JsonCheckpoints({ dir: tempDir(t), keep: 1 });
  let turns = 0;
  const ticking = setInterval(() => turns++, 0);
  t.after(() => clearInterval(ticking));
  const one = Buffer.from(`"${'x'.repeat(4 * 1024 * 1024 - 2)}"`);
  const saved = await checkpoints.saveStream('w', body('[', one, ',', one, ']'), {
    maxBytes: 16 * 1024 * 1024,
  });
  assert.ok(saved.ok);
  assert.equal(saved.value.bytes, 2 * one.length + 3);
  assert.ok(turns > 10, `others had ${turns} turns`);
});

const refusals: readonly [string, readonly string[], string, RegExp][] = [
  ['no JSON', ['{"a":', 'NaN}'], 'not-json', /^the state is not JSON: it has NaN or Infinity/],
  ['trailing text', ['{}', 'x'], 'not-json', /more after its end/],
  ['cut off', ['{"a":1'], 'not-json', /ends too early/],
  ['nothing', [], 'not-json', /^the state is not JSON: it is empty$/],
  ['larger than it may be', ['"', 'x'.repeat(100), '"'], 'too-large', /^the state is larger than 100 bytes$/],
  [
    'another digest',
    ['{"a":1}'],
    'digest',
    /^the state that came has the SHA-256 [0-9a-f]{64}, not 0{64}: send it again$/,
  ],
];
for (const [what, chunks, type, message] of refusals)
  test(`a stream that is refused leaves nothing: ${what}`, async (t) => {
    const dir = tempDir(t);
    const checkpoints = new JsonCheckpoints({ dir, keep: 2 });
    const before = await checkpoints.save('w', { good: true });
    const saved = await checkpoints.saveStream('w', body(...chunks), {
      maxBytes: 100,
      sha256: '0'.repeat(64),
    });
    assert.ok(!saved.ok);
    assert.equal(saved.error.type, type);
    assert.match(saved.error.message, message);
    assert.deepEqual(readdirSync(path.join(dir, 'w')), [path.basename(before.path)]);
  });

test('a body that breaks off throws its own error and leaves nothing, also one like the disk’s', async (t) => {
  const dir = tempDir(t);
  const checkpoints = new JsonCheckpoints({ dir, keep: 2 });
  const broken = Object.assign(new Error('gone'), { code: 'ECONNRESET', syscall: 'read' });
  async function* breaking(): AsyncGenerator<Uint8Array> {
    yield* body('{"a":');
    throw broken;
  }
  await assert.rejects(
    checkpoints.saveStream('w', breaking(), { maxBytes: 100 }),
    (error) => error === broken,
  );
  assert.deepEqual(readdirSync(path.join(dir, 'w')), []);
});

test('the newest that verifies is loaded; damaged ones are told of once, and stay', async (t) => {
  const dir = tempDir(t);
  const notices: string[] = [];
  const checkpoints = new JsonCheckpoints({ dir, keep: 3, onNotice: (text) => notices.push(text) });
  const saved = [];
  for (let n = 0; n < 3; n++) saved.push(await checkpoints.save('w', { n }));
  const [good, torn, flipped] = saved.map((one) => one.path);
  writeFileSync(torn!, readFileSync(torn!).subarray(0, 3));
  const bytes = readFileSync(flipped!);
  bytes[5]! ^= 1;
  writeFileSync(flipped!, bytes);
  for (let times = 0; times < 2; times++) {
    const loaded = await checkpoints.load('w');
    assert.deepEqual([loaded?.state, loaded?.checkpoint.path], [{ n: 0 }, good]);
  }
  assert.deepEqual(notices.length, 2);
  assert.match(
    notices[0]!,
    /^\/.*\.json is damaged \(its SHA-256 is not the one in its name\) and is passed over; it is left as it is$/,
  );
  assert.ok(notices[0]!.startsWith(flipped!));
  // they do not count as kept and stay; the good one goes when there are three newer ones
  for (let n = 3; n < 5; n++) {
    await checkpoints.save('w', { n });
    assert.equal(readdirSync(path.join(dir, 'w')).length, n + 1);
  }
  await checkpoints.save('w', { n: 5 });
  const names = readdirSync(path.join(dir, 'w'));
  assert.equal(names.length, 5);
  assert.deepEqual(
    [good, torn, flipped].map((file) => names.includes(path.basename(file!))),
    [false, true, true],
  );
});

test('where all are damaged it says so, and no number of saves deletes them, also in another life', async (t) => {
  const dir = tempDir(t);
  const first = new JsonCheckpoints({ dir, keep: 2 });
  const damaged: string[] = [];
  for (let n = 0; n < 2; n++) {
    const { path: file } = await first.save('w', { n });
    writeFileSync(file, 'x');
    damaged.push(path.basename(file));
    await assert.rejects(new JsonCheckpoints({ dir, keep: 2 }).load('w'), {
      name: 'DamagedCheckpointsError',
      message: new RegExp(
        n === 0
          ? '^the only checkpoint of w in .*/w is damaged \\(its SHA-256 .*\\); move it away to begin anew$'
          : '^all 2 checkpoints of w in .*/w are damaged \\(the newest: its SHA.*\\); move them away to begin anew$',
      ),
    });
  }
  const next = new JsonCheckpoints({ dir, keep: 2 });
  for (let n = 2; n < 7; n++) await next.save('w', { n });
  const names = readdirSync(path.join(dir, 'w')).sort();
  assert.equal(names.length, 4);
  assert.deepEqual(names.slice(0, 2), damaged);
});

test('a state too long for one text is refused in a clear sentence', async (t) => {
  const checkpoints = new JsonCheckpoints({ dir: tempDir(t), keep: 1 });
  const part = 'x'.repeat(1024 * 1024);
  await assert.rejects(checkpoints.save('w', Array<string>(520).fill(part)), {
    name: 'RangeError',
    message: /^the state is longer than 511 MiB as JSON; save large arrays in files of their own/,
  });
});

test('the newest before a name', async (t) => {
  const dir = tempDir(t);
  const checkpoints = new JsonCheckpoints({ dir, keep: 3 });
  const names: string[] = [];
  for (let n = 0; n < 3; n++) names.push(path.basename((await checkpoints.save('w', { n })).path));
  const before = async (name: string): Promise<string | null> => {
    const opened = await checkpoints.open('w', name);
    await opened?.close();
    return opened && path.basename(opened.checkpoint.path);
  };
  assert.deepEqual(
    [await before(names[2]!), await before(names[1]!), await before(names[0]!)],
    [names[1], names[0], null],
  );
  writeFileSync(path.join(dir, 'w', names[0]!), '');
  await assert.rejects(before(names[1]!), /^DamagedCheckpointsError: the only .* before .*json is damaged/);
});

test('what stands among the checkpoints and is none of them is passed over, whatever it is', async (t) => {
  const dir = tempDir(t);
  const checkpoints = new JsonCheckpoints({ dir, keep: 1 });
  const { path: good } = await checkpoints.save('w', { good: true });
  const name = (stamp: string): string => path.join(dir, 'w', `${stamp}-000000.${'0'.repeat(64)}.json`);
  await fs.mkdir(name('29991122T113318.123Z'));
  symlinkSync('nowhere', name('29991122T113318.124Z'));
  writeFileSync(name('29999999T113318.124Z'), '{}');
  writeFileSync(path.join(dir, 'w', 'notes.json'), '{}');
  assert.equal((await checkpoints.load('w'))?.checkpoint.path, good);
  await checkpoints.save('w', { good: 2 });
  assert.deepEqual((await checkpoints.load('w'))?.state, { good: 2 });
});

test('names never go back: not when the clock does, nor in another life', async (t) => {
  const dir = tempDir(t);
  let now = Date.UTC(2026, 0, 1, 0, 0, 10);
  const open = (): JsonCheckpoints => new JsonCheckpoints({ dir, keep: 10, now: () => now });
  const saved = [await open().save('w', 0)];
  now -= 5000;
  const checkpoints = open();
  for (let n = 1; n < 4; n++) saved.push(await checkpoints.save('w', n));
  now += 6000;
  saved.push(await checkpoints.save('w', 4));
  const names = saved.map((one) => path.basename(one.path));
  assert.deepEqual(names.toSorted(), names);
  assert.ok(names.every((name) => form.test(name)));
  assert.deepEqual(
    names.map((name) => name.slice(8, 27)),
    [
      'T000010.000Z-000000',
      'T000010.000Z-000001',
      'T000010.000Z-000002',
      'T000010.000Z-000003',
      'T000011.000Z-000000',
    ],
  );
  assert.deepEqual((await open().load('w'))?.state, 4);
});

test('when the counter is at its end the stamp goes up', async (t) => {
  const dir = tempDir(t);
  await fs.mkdir(path.join(dir, 'w'));
  writeFileSync(path.join(dir, 'w', `20990101T000000.000Z-999999.${sha256('1')}.json`), '1');
  const checkpoints = new JsonCheckpoints({ dir, keep: 10 });
  const saved = await checkpoints.save('w', 2);
  assert.match(saved.path, /20990101T000000\.001Z-000000/);
});

test('saves at the same time are all kept, in the order of the calls', async (t) => {
  const checkpoints = new JsonCheckpoints({ dir: tempDir(t), keep: 20 });
  const saves = Array.from({ length: 20 }, (_, n) => checkpoints.save('w', { n }));
  const paths = (await Promise.all(saves)).map((saved) => saved.path);
  assert.deepEqual(paths.toSorted(), paths);
  assert.deepEqual((await checkpoints.load('w'))?.state, { n: 19 });
});

test('two who save to the same folder lose nothing and tear nothing', async (t) => {
  const dir = tempDir(t);
  const two = [new JsonCheckpoints({ dir, keep: 100 }), new JsonCheckpoints({ dir, keep: 100 })];
  const saves = Array.from({ length: 20 }, (_, n) => two[n % 2]!.save('w', { n }));
  const paths = (await Promise.all(saves)).map((saved) => saved.path);
  assert.equal(new Set(paths).size, 20);
  for (const file of paths) assert.equal(sha256(readFileSync(file)), path.basename(file).split('.')[2]);
  // who saves after another has answered comes after it
  await two[0]!.save('w', 'first');
  await two[1]!.save('w', 'last');
  assert.equal((await two[0]!.load('w'))?.state, 'last');
});

test('what killed processes left is swept at the first save; what others write, and all else, stays', async (t) => {
  const dir = tempDir(t);
  await new JsonCheckpoints({ dir, keep: 3 }).save('w', 1);
  const [saved] = readdirSync(path.join(dir, 'w'));
  // the name of a temporary file, as a save that is cut off leaves it
  let seen: string | undefined;
  await assert.rejects(
    new JsonCheckpoints({ dir, keep: 3 }).saveStream(
      'w',
      (async function* () {
        yield* body('{');
        seen = readdirSync(path.join(dir, 'w')).find((name) => name.startsWith('.saving-'));
        throw new Error('enough seen');
      })(),
      { maxBytes: 10 },
    ),
  );
  const ours = /^\.saving-([0-9a-f]{8})-(\d+)-([0-9a-f]{8})-\d+\.tmp$/.exec(seen ?? '');
  assert.equal(Number(ours?.[2]), process.pid);
  const put = (host: string, pid: number, ageMs: number): string => {
    const name = `.saving-${host}-${pid}-00000000-${ageMs}.tmp`;
    const file = path.join(dir, 'w', name);
    writeFileSync(file, '{');
    const at = (Date.now() - ageMs) / 1000;
    utimesSync(file, at, at);
    return name;
  };
  const dead = 4_194_305; // beyond what Linux gives out
  const gone = [
    put(ours![1]!, dead, 0),
    put(ours![1]!, process.pid, 7_200_000),
    put('ffffffff', 5, 7_200_001),
  ];
  const stay = [put(ours![1]!, process.pid, 1), put('ffffffff', dead, 2), '.hidden.1.2.tmp'];
  writeFileSync(path.join(dir, 'w', '.hidden.1.2.tmp'), '');
  await new JsonCheckpoints({ dir, keep: 3 }).save('w', 2);
  const names = readdirSync(path.join(dir, 'w'));
  for (const name of gone) assert.ok(!names.includes(name), `${name} is still there`);
  for (const name of [...stay, saved!]) assert.ok(names.includes(name), `${name} is gone`);
});

test('workers whose ids differ in case alone have folders of their own; what is no id is refused', async (t) => {
  const dir = tempDir(t);
  const checkpoints = new JsonCheckpoints({ dir, keep: 3 });
  for (const id of ['worker', 'Worker', 'WORKER']) await checkpoints.save(id, { id });
  for (const id of ['worker', 'Worker', 'WORKER'])
    assert.deepEqual((await checkpoints.load(id))?.state, { id });
  const folders = readdirSync(dir);
  assert.equal(new Set(folders.map((name) => name.toLowerCase())).size, 3);
  for (const id of ['..', '../x', '', 'a/b', 'a~b', 'x'.repeat(129), '.hidden']) {
    await assert.rejects(checkpoints.save(id, 1), RangeError, id);
    await assert.rejects(checkpoints.load(id), RangeError, id);
  }
  assert.deepEqual(readdirSync(dir), folders);
});

test('what the disk refuses is one clear sentence, and a folder that cannot be read is not an empty one', async (t) => {
  const dir = tempDir(t);
  writeFileSync(path.join(dir, 'file'), '');
  const checkpoints = new JsonCheckpoints({ dir: path.join(dir, 'file'), keep: 3 });
  await assert.rejects(checkpoints.save('w', 1), {
    code: 'ENOTDIR',
    message:
      /^cannot save a checkpoint of w in .*file\/w: ENOTDIR.*; make that folder writable, or choose another for checkpoints$/,
  });
  const unreadable =
    /^cannot read the checkpoints in .*file\/w: ENOTDIR.*; make it a folder that can be read, or choose another for checkpoints$/;
  await assert.rejects(checkpoints.load('w'), { code: 'ENOTDIR', message: unreadable });
  await assert.rejects(checkpoints.newest('w'), { code: 'ENOTDIR', message: unreadable });
  if (process.getuid?.() === 0) return; // root may read everything
  const closed = new JsonCheckpoints({ dir, keep: 3 });
  const { path: file } = await closed.save('w', 1);
  chmodSync(file, 0);
  await assert.rejects(closed.load('w'), { code: 'EACCES' });
});

test('whatever goes wrong where, there is the old or the new, and what was announced verifies', async (t) => {
  const dir = tempDir(t);
  let before = '';
  const cases = await everyFault(
    async () => {
      rmSync(path.join(dir, 'w'), { recursive: true, force: true });
      before = (await new JsonCheckpoints({ dir, keep: 1 }).save('w', { n: 'before' })).path;
      return new JsonCheckpoints({ dir, keep: 1 });
    },
    (checkpoints) => checkpoints.save('w', { n: 'after', filler: 'x'.repeat(200) }),
    async ({ crashed, error, value, fault }) => {
      const fresh = new JsonCheckpoints({ dir, keep: 1 });
      const loaded = await fresh.load('w');
      const { n } = loaded?.state as { n: string };
      assert.ok(['before', 'after'].includes(n));
      // from a disk that became read-only amid it nothing can be taken back
      if (!crashed && error !== undefined && fault !== 'disk read-only')
        assert.equal(n, 'before', 'what was refused is not loaded');
      if (!crashed && error === undefined) {
        assert.equal(n, 'after');
        assert.equal(loaded?.checkpoint.path, value?.path);
      }
      if (error !== undefined)
        assert.ok(
          readdirSync(path.join(dir, 'w')).includes(path.basename(before)),
          'the old one is still there',
        );
      if (error !== undefined) {
        assert.match((error as Error).message, /^cannot save a checkpoint of w in /);
        assert.ok((error as { code?: string }).code);
      }
      await fresh.save('w', { n: 'next' });
      assert.deepEqual((await fresh.load('w'))?.state, { n: 'next' });
    },
    Number(process.env['STRIDE'] ?? 2),
  );
  assert.ok(cases >= 25, `only ${cases} cases`);
});

const kills = Number(process.env['KILLS'] ?? 3);
test(`killed ${kills} times while it saves, every save that it announced verifies, and the newest is loaded`, async (t) => {
  const dir = tempDir(t);
  const writer = fileURLToPath(new URL('json-checkpoints-writer.js', import.meta.url));
  const announced: string[] = [];
  let half = 0;
  let swept = 0;
  let last = 0;
  for (let round = 0; round < kills; round++) {
    const before =
      round === 0 ? [] : readdirSync(path.join(dir, 'w')).filter((name) => name.endsWith('.tmp'));
    const child = spawn(process.execPath, [writer, dir, `${last + 10}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => child.kill('SIGKILL'));
    const enough = 1 + ((round * 7) % 11);
    let said = 0;
    for await (const line of readline.createInterface({ input: child.stdout })) {
      const [n = '', file = ''] = line.split(' ');
      announced.push(file);
      last = Math.max(last, Number(n));
      if (++said === enough) child.kill('SIGKILL');
    }
    assert.ok(said >= enough, `it ended by itself after ${said}`);
    const names = readdirSync(path.join(dir, 'w'));
    half += names.filter((name) => name.endsWith('.tmp')).length;
    swept += before.filter((name) => !names.includes(name)).length;
    assert.ok(!before.some((name) => names.includes(name)), 'what the one before left is swept');
    const loaded = await new JsonCheckpoints({ dir, keep: 1000 }).load('w');
    // one that was not announced any more may be there already
    assert.ok((loaded?.checkpoint.path ?? '') >= (announced.toSorted().at(-1) ?? ''));
  }
  for (const file of announced)
    assert.equal(sha256(readFileSync(file)), path.basename(file).split('.')[2], file);
  t.diagnostic(`${announced.length} saves, ${half} left half written, ${swept} of them swept`);
});

test('however many save at once, 256 files are open at most, and each is saved', async (t) => {
  const checkpoints = new JsonCheckpoints({ dir: tempDir(t), keep: 1 });
  let [now, most] = [0, 0];
  const { open } = files;
  t.mock.method(files, 'open', async (...args: Parameters<typeof open>) => {
    const handle = await open(...args);
    most = Math.max(most, ++now);
    const close = handle.close.bind(handle);
    handle.close = async () => {
      await close();
      now--;
    };
    return handle;
  });
  const workers = Array.from({ length: 600 }, (_, n) => `w${n}`);
  await Promise.all(workers.map((worker) => checkpoints.save(worker, { worker })));
  assert.ok(most <= 256, `${most} at once`);
  assert.equal(now, 0);
  const loaded = await Promise.all(workers.map((worker) => checkpoints.load(worker)));
  assert.deepEqual(
    loaded.map((one) => one?.state),
    workers.map((worker) => ({ worker })),
  );
});

test('where there are no more descriptors it says so', async (t) => {
  const dir = tempDir(t);
  const checkpoints = new JsonCheckpoints({ dir, keep: 1 });
  t.mock.method(files, 'open', () =>
    Promise.reject(
      Object.assign(new Error('EMFILE: too many open files, open'), { code: 'EMFILE', errno: -24 }),
    ),
  );
  await assert.rejects(checkpoints.save('w', {}), {
    code: 'EMFILE',
    message: /too many open files.*; raise the limit of open files \(ulimit -n\)$/,
  });
});
