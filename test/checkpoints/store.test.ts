import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'; // prettier-ignore
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { files } from '../../src/util/os/durable.js';
import {
  bytesIn,
  HandClock,
  lay,
  look,
  npz,
  open,
  safetensorsOf,
  scratch,
  told,
  trainerFolder,
  value,
} from './samples.js';

function makeDir(t: TestContext, tree: Readonly<Record<string, Buffer | string>> = {}): string {
  const dir = path.join(scratch(t), 'ckpts');
  mkdirSync(dir);
  lay(dir, tree);
  return dir;
}

const three = { 'step-10.npz': npz(1), 'step-20.npz': npz(2), 'step-30.npz': npz(3) };

describe('standing, once nobody writes', () => {
  test('good ones are verified, oldest first; torn, empty and half folders are not', async (t) => {
    const dir = makeDir(t, { ...three, 'step-40.npz': npz(4).subarray(0, 900), 'step-50.npz': '' });
    const { store } = await open(t, dir);
    const facts = await look(store);
    assert.deepEqual(told(facts), [
      'step-10.npz:verified',
      'step-20.npz:verified',
      'step-30.npz:verified',
      'step-40.npz:corrupt',
      'step-50.npz:corrupt',
    ]);
    assert.match(facts[3]?.why ?? '', /end record is missing/);
    assert.deepEqual(facts[0]?.path, path.join(store.dir, 'step-10.npz'));
    assert.equal(facts[0].sizeBytes, statSync(facts[0].path).size);
  });

  test('Hugging Face: without trainer_state.json it is partial; its step is in that file', async (t) => {
    const tree = { ...trainerFolder(10), ...trainerFolder(20), ...trainerFolder(30) };
    delete (tree as Record<string, unknown>)['checkpoint-30/trainer_state.json'];
    const { store } = await open(t, makeDir(t, tree));
    const facts = await look(store);
    assert.equal(store.layout, 'huggingface');
    assert.deepEqual(told(facts), [
      'checkpoint-10:verified',
      'checkpoint-20:verified',
      'checkpoint-30:partial',
    ]);
    assert.deepEqual(facts.map((fact) => fact.step), [10, 20, undefined]); // prettier-ignore
    assert.match(facts[2]?.why ?? '', /trainer_state\.json is missing/);
  });

  test('the newest folder or pair must have what all before it have', async (t) => {
    const folders = (n: number): Record<string, Buffer> => ({ [`step-${n}/model.npz`]: npz(n), [`step-${n}/optim.npz`]: npz(n) }); // prettier-ignore
    const cut = await open(t, makeDir(t, { ...folders(1), ...folders(2), 'step-3/model.npz': npz(3) }));
    const [, , third] = await look(cut.store);
    assert.equal(third?.standing, 'partial');
    assert.match(third.why, /step-N\/optim\.npz is missing/);
    const second = await open(t, makeDir(t, { ...folders(1), 'step-1/note.txt': 'once', ...folders(2) }));
    assert.deepEqual(told(await look(second.store)), ['step-1:verified', 'step-2:verified']);
    rmSync(path.join(second.store.dir, 'step-2', 'optim.npz'));
    assert.deepEqual(told(await look(second.store)), ['step-1:verified', 'step-2:partial']);
    const temporary = await open(
      t,
      makeDir(t, { ...folders(1), ...folders(2), 'step-2/optim.npz.tmp': 'x' }),
    );
    assert.deepEqual(told(await look(temporary.store)), ['step-1:verified', 'step-2:partial']);
    const empty = makeDir(t, { ...folders(1) });
    mkdirSync(path.join(empty, 'step-2'));
    assert.deepEqual(told(await look((await open(t, empty)).store)), ['step-1:verified', 'step-2:partial']);
  });

  test('a byte flipped in the newest is seen, though its size and end are right', async (t) => {
    const bytes = npz(9);
    bytes[2000] = (bytes[2000] ?? 0) ^ 1;
    const { store } = await open(t, makeDir(t, { ...three, 'step-40.npz': bytes }));
    assert.equal((await look(store)).at(-1)?.standing, 'corrupt');
  });

  test('an empty or vanished folder has none', async (t) => {
    const dir = makeDir(t);
    const { store } = await open(t, dir);
    assert.deepEqual(await look(store), []);
    rmSync(dir, { recursive: true });
    assert.deepEqual(await look(store, { live: true }), []);
  });

  test('odd names and links: names are kept exactly, links are not followed out', async (t) => {
    const dir = makeDir(t, { 'a\nb 1 ☃%2F.npz': npz(1), [`${'x'.repeat(240)}7.npz`]: npz(2) });
    lay(path.dirname(dir), { 'outside.npz': npz(3) });
    symlinkSync('../outside.npz', path.join(dir, 'step-9.npz'));
    const { store } = await open(t, dir);
    const facts = await look(store);
    assert.deepEqual(facts.map((fact) => fact.id).sort(), ['a\nb 1 ☃%2F.npz', `${'x'.repeat(240)}7.npz`]); // prettier-ignore
    assert.ok(facts.every((fact) => fact.standing === 'verified'));
    assert.equal(readdirSync(path.join(store.vault ?? '', 'manifests')).length, 2);
  });

  test('one that vanishes while it is read is left out; one that cannot be read is not called corrupt', async (t) => {
    const dir = makeDir(t, three);
    const { store } = await open(t, dir);
    const real = files.open;
    const opening = t.mock.method(files, 'open', (async (...args: Parameters<typeof real>) => {
      const name = path.basename(String(args[0]));
      if (name === 'step-30.npz') renameSync(path.join(dir, name), path.join(dir, '..', name));
      if (name === 'step-20.npz') throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
      return real(...args);
    }) as typeof real);
    const facts = await look(store);
    opening.mock.restore();
    assert.deepEqual(told(facts), ['step-10.npz:verified', 'step-20.npz:complete']);
    assert.match(facts[1]?.why ?? '', /cannot be read \(EIO\)/);
    assert.equal((await look(store))[1]?.standing, 'verified');
  });
});

describe('manifests', () => {
  test('hold as long as the stat does: nothing is read again, also by the next process', async (t) => {
    const dir = makeDir(t, three);
    await look((await open(t, dir)).store);
    const { store } = await open(t, dir);
    const opening = t.mock.method(files, 'open');
    assert.equal((await look(store)).length, 3);
    const read = opening.mock.calls.filter((call) => String(call.arguments[0]).startsWith(`${store.dir}/`));
    // the layout's look at the first bytes happens once, at opening
    assert.deepEqual(read.length, 0);
  });

  test('are void when a file changed, and the checkpoint is judged anew', async (t) => {
    const dir = makeDir(t, three);
    const { store } = await open(t, dir);
    await look(store);
    truncateSync(path.join(dir, 'step-20.npz'), 500);
    assert.deepEqual(told(await look(store))[1], 'step-20.npz:corrupt');
    lay(dir, { 'step-20.npz': npz(7) });
    assert.deepEqual(told(await look(store))[1], 'step-20.npz:verified');
  });

  test('keep digests and every mark; a damaged one is said and kept aside', async (t) => {
    const dir = makeDir(t, three);
    const { store } = await open(t, dir);
    await look(store);
    value(await store.mark('step-30.npz', 'suspect', 'failed soon after it'));
    const folder = path.join(store.vault ?? '', 'manifests');
    const stored = JSON.parse(bytesIn(folder).get('step-30.npz.json')?.toString() ?? '') as {
      files: { digest: string }[];
    };
    assert.match(stored.files[0]?.digest ?? '', /^xxh3-64:/);
    writeFileSync(path.join(folder, 'step-10.npz.json'), '{"torn');
    const next = await open(t, dir);
    const facts = await look(next.store);
    assert.deepEqual(told(facts), ['step-10.npz:verified', 'step-20.npz:verified', 'step-30.npz:suspect']);
    assert.equal(facts[2]?.why, 'failed soon after it');
    assert.match(next.notices.join(), /step-10\.npz\.json cannot be read/);
    assert.ok(readdirSync(folder).some((name) => name.includes('damaged')));
    const unknown = await store.mark('step-99.npz', 'suspect', 'x');
    assert.ok(!unknown.ok && unknown.error.message.includes('"step-99.npz"'));
  });

  test('a budget of nothing verifies nothing; a spent one still verifies the newest', async (t) => {
    const { store, clock } = await open(t, makeDir(t, three));
    assert.ok((await look(store, { budgetMs: 0 })).every((fact) => fact.standing === 'complete'));
    clock.pass(5000);
    t.mock.method(clock, 'mono', () => (clock.monotonic += 50));
    const facts = await look(store, { live: true, budgetMs: 1 });
    assert.deepEqual(facts.map((fact) => fact.standing), ['complete', 'complete', 'verified']); // prettier-ignore
  });
});

describe('while the worker lives', () => {
  test('a young one is partial until it is unchanged for the settle time', async (t) => {
    const dir = makeDir(t, three);
    const { store, clock } = await open(t, dir);
    await look(store, { live: true });
    const file = path.join(dir, 'step-40.npz');
    writeFileSync(file, npz(4).subarray(0, 500));
    clock.wall = Date.now();
    const newest = async (): Promise<string | undefined> => (await look(store, { live: true, step: 41 })).at(-1)?.standing; // prettier-ignore
    assert.equal(await newest(), 'partial');
    clock.pass(1500);
    appendFileSync(file, npz(4).subarray(500));
    clock.wall = Date.now();
    assert.equal(await newest(), 'partial');
    clock.pass(2500);
    assert.equal(await newest(), 'verified');
    assert.equal((await look(store)).at(-1)?.step, 40);
  });

  test('the step is the heartbeat’s at the last write, unless the name itself says it', async (t) => {
    const dir = makeDir(t);
    const { store, clock } = await open(t, dir);
    writeFileSync(path.join(dir, 'ckpt-3.npz'), npz());
    clock.wall = Date.now();
    await look(store, { live: true, step: 300 });
    clock.pass(5000);
    assert.deepEqual((await look(store, { live: true, step: 345 }))[0]?.step, 300);
  });

  test('one that a process has open for writing waits', { skip: process.platform !== 'linux' }, async (t) => {
    const dir = makeDir(t, three);
    const script = 'import sys,time; f=open(sys.argv[1],"ab"); print("open",flush=True); sys.stdin.read()';
    const writer = spawn('python3', ['-c', script, path.join(dir, 'step-30.npz')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    await once(writer.stdout, 'data');
    t.after(() => writer.kill('SIGKILL'));
    const { store, clock } = await open(t, dir);
    clock.pass(5000);
    const newest = (await look(store, { live: true })).at(-1);
    assert.equal(newest?.standing, 'partial');
    assert.match(newest.why, new RegExp(`process ${writer.pid} has .*step-30\\.npz open for writing`));
    writer.stdin.end();
    await once(writer, 'exit');
    assert.equal((await look(store, { live: true })).at(-1)?.standing, 'verified');
  });

  test('a watch calls back for a change until it is ended', async (t) => {
    const dir = makeDir(t, three);
    const { store } = await open(t, dir);
    let wake = (): void => undefined;
    const called = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const end = store.watch(wake);
    // it is ready at some time: poked until it answers
    const poke = setInterval(() => writeFileSync(path.join(dir, `step-${process.hrtime()[1]}.npz`), ''), 20);
    await called;
    clearInterval(poke);
    end();
  });
});

test('ours is what came or changed after the run first opened the folder', async (t) => {
  const dir = makeDir(t, { ...three, ...{ 'step-5/w.safetensors': safetensorsOf({ w: 1 }) } });
  await open(t, dir);
  utimesSync(path.join(dir, 'step-20.npz'), 5, 5);
  lay(dir, { 'step-40.npz': npz(4) }, 100 * 86_400_000);
  const again = await open(t, dir);
  const ours = (await look(again.store)).filter((fact) => fact.ours).map((fact) => fact.id);
  assert.deepEqual(ours, ['step-20.npz', 'step-40.npz']);
  const other = await open(t, dir, { runId: 'run-2' });
  assert.deepEqual((await look(other.store)).filter((fact) => fact.ours), []); // prettier-ignore
});

describe('proof', () => {
  test('time and steps after it make it safe, adding up over processes', async (t) => {
    const dir = makeDir(t, { 'ckpt.npz': npz() });
    const first = await open(t, dir);
    await look(first.store);
    // what passed before it was there counts for nothing
    await first.store.credit({ ms: 1e9, steps: 1e9 });
    await first.store.credit({ ms: 100_000, steps: 49 });
    await first.store.close();
    const second = await open(t, dir);
    assert.deepEqual(told(await look(second.store)), ['ckpt.npz:verified']);
    await second.store.credit({ ms: 0, steps: 0 });
    await second.store.credit({ ms: 20_000, steps: 0 });
    assert.deepEqual(told(await look(second.store)), ['ckpt.npz:verified']);
    await second.store.credit({ ms: 0, steps: 1 });
    assert.deepEqual(told(await look(second.store)), ['ckpt.npz:safe']);
    assert.deepEqual(told(await look((await open(t, dir)).store)), ['ckpt.npz:safe']);
  });

  test('one further checkpoint stands for the steps; a suspect one earns nothing', async (t) => {
    const { store } = await open(t, makeDir(t, three));
    await look(store);
    value(await store.mark('step-10.npz', 'suspect', 'x'));
    await look(store);
    await store.credit({ ms: 0, steps: 0 });
    await store.credit({ ms: 120_000, steps: 0 });
    assert.deepEqual(told(await look(store)), [
      'step-10.npz:suspect',
      'step-20.npz:safe',
      'step-30.npz:verified',
    ]);
  });
});

test('a read-only look writes nothing at all, and changes nothing', async (t) => {
  const dir = makeDir(t, { ...three, 'step-40.npz': '' });
  const parent = path.dirname(dir);
  const { store } = await open(t, dir, { readOnly: true });
  assert.deepEqual(told(await look(store)).at(-1), 'step-40.npz:corrupt');
  await store.credit({ ms: 1e9, steps: 1e9 });
  assert.ok(!(await store.mark('step-10.npz', 'safe', 'x')).ok);
  assert.ok(!(await store.rollback({ moves: ['step-40.npz'], reason: 'x' })).ok);
  assert.deepEqual(value(await store.recover()), []);
  assert.deepEqual(readdirSync(parent), ['ckpts']);
  assert.equal(readdirSync(dir).length, 4);

  const missing = await open(t, path.join(parent, 'nowhere'), { readOnly: true });
  assert.deepEqual(await look(missing.store), []);
  assert.ok(!existsSync(path.join(parent, 'nowhere')));

  // where a vault is, its manifests are read
  const writing = await open(t, dir);
  value(await writing.store.mark('step-10.npz', 'tainted', 'x'));
  const before = [...bytesIn(parent)].toString();
  const again = await open(t, dir, { readOnly: true, clock: new HandClock() });
  assert.equal((await look(again.store))[0]?.standing, 'tainted');
  assert.equal([...bytesIn(parent)].toString(), before);
});
