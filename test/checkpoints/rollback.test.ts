import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { files } from '../../src/util/os/durable.js';
import { bytesIn, lay, look, npz, open, scratch, trainerFolder, value } from './samples.js';

const child = fileURLToPath(new URL('cut-child.js', import.meta.url));
const vaultOf = (dir: string): string => path.join(path.dirname(dir), `.${path.basename(dir)}.trainguard`);

function makeDir(t: TestContext): string {
  const dir = path.join(scratch(t), 'ckpts');
  mkdirSync(dir);
  lay(dir, { ...trainerFolder(10), ...trainerFolder(20), ...trainerFolder(30) });
  return dir;
}

/** Contents, wherever they now lie: every checkpoint's bytes are in the folder or in quarantine, once. */
function checkpointBytes(dir: string): Map<string, Buffer> {
  const all = new Map(bytesIn(dir));
  const quarantine = path.join(vaultOf(dir), 'quarantine');
  for (const tx of readdirSync(quarantine))
    for (const [name, bytes] of bytesIn(path.join(quarantine, tx))) {
      assert.ok(!all.has(name), `${name} is there twice`);
      all.set(name, bytes);
    }
  return new Map([...all].sort(([a], [b]) => (a < b ? -1 : 1)));
}

describe('a rollback', () => {
  test('moves the newer ones away with their times, and keeps its journal', async (t) => {
    const dir = makeDir(t);
    const before = statSync(path.join(dir, 'checkpoint-30'));
    const { store } = await open(t, dir);
    const done = value(await store.rollback({ target: 'checkpoint-10', moves: ['checkpoint-30', 'checkpoint-20'], reason: 'numeric' })); // prettier-ignore
    assert.deepEqual(readdirSync(dir), ['checkpoint-10']);
    assert.deepEqual(done.moved.map((one) => one.id), ['checkpoint-30', 'checkpoint-20']); // prettier-ignore
    const moved = statSync(done.moved[0]?.to ?? '');
    assert.deepEqual([moved.ino, moved.mtimeMs], [before.ino, before.mtimeMs]);
    assert.deepEqual(readdirSync(path.join(vaultOf(dir), 'journal')), [`${done.tx}.json.done`]);
    assert.deepEqual(value(await store.recover()), []);
  });

  test('cut off before each of its file operations, recovery ends it wholly or it never began', async (t) => {
    const dir = makeDir(t);
    const whole = checkpointBytesOnly(dir);
    const outcomes: string[] = [];
    for (let cut = 1; ; cut++) {
      for (const one of [dir, vaultOf(dir)]) rmSync(one, { recursive: true, force: true });
      mkdirSync(dir);
      lay(dir, { ...trainerFolder(10), ...trainerFolder(20), ...trainerFolder(30) });
      const { status, stderr } = run('rollback', dir, cut);
      if (status === 0) break;
      assert.equal(status, 99, stderr);
      // the recovery is cut off as well, now and then, at a place that moves along
      if (cut % 3 === 0) assert.ok([0, 99].includes(run('recover', dir, (cut % 8) + 1).status ?? -1));
      const { store } = await open(t, dir);
      value(await store.recover());
      assert.deepEqual(value(await store.recover()), []);
      const left = readdirSync(dir).sort();
      outcomes.push(left.length === 3 ? 'as before' : 'rolled back');
      if (left.length !== 3) assert.deepEqual(left, ['checkpoint-10']);
      assert.deepEqual(checkpointBytes(dir), whole, `cut ${cut}`);
      assert.deepEqual(readdirSync(path.join(vaultOf(dir), 'journal')).filter((name) => name.endsWith('.json')), []); // prettier-ignore
    }
    assert.ok(outcomes.length >= 10, `only ${outcomes.length} cuts`);
    // first all as before, then, from the commit on, all rolled back
    assert.deepEqual([...outcomes].sort(), outcomes);
    assert.deepEqual(new Set(outcomes), new Set(['as before', 'rolled back']));
  });

  test('what vanished is said, what was replaced after the commit is left, nothing is overwritten', async (t) => {
    const dir = makeDir(t);
    const { store, notices } = await open(t, dir);
    const gone = value(await store.rollback({ moves: ['checkpoint-40', 'checkpoint-30'], reason: 'torn' }));
    assert.deepEqual(gone.moved.map((one) => one.id), ['checkpoint-30']); // prettier-ignore
    assert.match(notices.join(), /checkpoint-40 vanished/);

    const { status } = run('rollback', dir, afterCommit);
    assert.equal(status, 99);
    // kept elsewhere, so that its inode is not used again
    renameSync(path.join(dir, 'checkpoint-20'), path.join(dir, 'elsewhere'));
    lay(dir, trainerFolder(20));
    assert.match(
      value(await store.recover()).join(),
      /had been cut off and was finished: quarantined nothing/,
    );
    assert.match(notices.join(), /checkpoint-20 was replaced by another/);
    assert.ok(existsSync(path.join(dir, 'checkpoint-20', 'optimizer.pt')));
  });

  test('something in the way in quarantine stops it, and is not overwritten', async (t) => {
    const dir = makeDir(t);
    const { store } = await open(t, dir);
    assert.equal(run('rollback', dir, afterCommit).status, 99);
    const [journal = ''] = readdirSync(path.join(vaultOf(dir), 'journal'));
    const own = path.join(vaultOf(dir), 'quarantine', path.basename(journal, '.json'));
    mkdirSync(own, { recursive: true });
    writeFileSync(path.join(own, 'checkpoint-30'), 'precious');
    const refused = await store.recover();
    assert.ok(!refused.ok);
    assert.match(refused.error.message, /checkpoint-30 is in the way/);
    rmSync(path.join(own, 'checkpoint-30'));
    value(await store.recover());
    assert.deepEqual(readdirSync(dir), ['checkpoint-10']);
  });

  test('a damaged journal is said and left as it is', async (t) => {
    const dir = makeDir(t);
    const { store } = await open(t, dir);
    const journal = path.join(vaultOf(dir), 'journal', '20240101T000000000Z-00000000.json');
    for (const text of [
      '{"schemaVersion": 1',
      '{"schemaVersion":1,"tx":"20240101T000000000Z-00000000","moves":[{"id":"a","inode":"1","name":"../../etc"}]}',
    ]) {
      // prettier-ignore
      writeFileSync(journal, text);
      const refused = await store.recover();
      assert.ok(!refused.ok);
      assert.match(refused.error.message, /journal of an unfinished rollback is damaged: .*00000000\.json/);
    }
  });

  test('a full disk before the commit leaves everything as it was', async (t) => {
    const dir = makeDir(t);
    const { store } = await open(t, dir);
    const before = checkpointBytesOnly(dir);
    const rename = t.mock.method(files, 'rename', () => Promise.reject(Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' }))); // prettier-ignore
    const refused = await store.rollback({ moves: ['checkpoint-30'], reason: 'torn' });
    rename.mock.restore();
    assert.ok(!refused.ok);
    assert.equal(refused.error.code, 'ENOSPC');
    assert.match(refused.error.message, /nothing is lost/);
    assert.deepEqual(value(await store.recover()), []);
    assert.deepEqual(checkpointBytesOnly(dir), before);
  });

  test(
    'a target that is gone, or a file that is being written: nothing moves',
    { skip: process.platform !== 'linux' },
    async (t) => {
      const dir = makeDir(t);
      const { store } = await open(t, dir);
      const gone = await store.rollback({ target: 'checkpoint-5', moves: ['checkpoint-30'], reason: 'x' });
      assert.ok(!gone.ok && /no longer in/.test(gone.error.message));
      const writer = await files.open(path.join(dir, 'checkpoint-30', 'optimizer.pt'), 'r+');
      const busy = await store.rollback({ target: 'checkpoint-10', moves: ['checkpoint-30'], reason: 'x' });
      await writer.close();
      assert.ok(!busy.ok && busy.error.exit === 75);
      assert.match(
        busy.error.message,
        new RegExp(`process ${process.pid} has .*optimizer.pt open for writing`),
      );
      assert.equal(readdirSync(dir).length, 3);
    },
  );

  test('what no rename can move is refused before anything has gone, and nothing is left to be finished', async (t) => {
    const dir = path.join(scratch(t), 'ckpts');
    lay(dir, { ...trainerFolder(10), ...trainerFolder(20), ...trainerFolder(30) });
    const { store } = await open(t, dir);
    await look(store);
    const real = files.rename;
    const refusing = t.mock.method(files, 'rename', (from: string, to: string) =>
      from === path.join(dir, 'checkpoint-20')
        ? Promise.reject(Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' }))
        : real(from, to),
    );
    const request = { target: 'checkpoint-10', moves: ['checkpoint-30', 'checkpoint-20'], reason: 'x' };
    const refused = await store.rollback(request);
    assert.ok(!refused.ok && refused.error.exit === 78);
    assert.match(refused.error.message, /checkpoint-20 cannot be moved: EACCES.*; nothing was moved$/);
    assert.equal(readdirSync(dir).length, 3);
    assert.deepEqual(value(await store.recover()), []);
    refusing.mock.restore();
    value(await store.rollback(request));
  });

  test('in a guessed folder only what this run wrote may move', async (t) => {
    const dir = makeDir(t);
    const { store } = await open(t, dir, { guessed: true });
    lay(dir, trainerFolder(40));
    const refused = await store.rollback({ moves: ['checkpoint-40', 'checkpoint-30'], reason: 'x' });
    assert.ok(!refused.ok && /checkpoint-30 was not written by this run/.test(refused.error.message));
    assert.equal(value(await store.rollback({ moves: ['checkpoint-40'], reason: 'x' })).moved.length, 1);
  });

  test('all files of one checkpoint move together', async (t) => {
    const dir = scratch(t);
    lay(path.join(dir, 'c'), {
      'model_1.npz': npz(),
      'optim_1.npz': npz(),
      'model_2.npz': npz(),
      'optim_2.npz': npz(),
    });
    const { store } = await open(t, path.join(dir, 'c'));
    const { moved } = value(
      await store.rollback({ target: 'model_1.npz', moves: ['model_2.npz'], reason: 'x' }),
    );
    assert.deepEqual(readdirSync(path.join(dir, 'c')), ['model_1.npz', 'optim_1.npz']);
    assert.equal(moved.length, 1);
  });
});

function run(
  what: 'rollback' | 'recover',
  dir: string,
  cut: number | string,
): { status: number | null; stderr: string } {
  return spawnSync(process.execPath, [child, what, dir, String(cut)], { encoding: 'utf8', timeout: 60_000 });
}

/** The first folder that is made is the transaction's in quarantine, once the intent is committed. */
const afterCommit = 'mkdir:1';

const checkpointBytesOnly = (dir: string): Map<string, Buffer> =>
  new Map([...bytesIn(dir)].sort(([a], [b]) => (a < b ? -1 : 1)));
