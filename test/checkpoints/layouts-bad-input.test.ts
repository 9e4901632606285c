import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import { layoutFor, layoutNames } from '../../src/checkpoints/layouts/registry.js';
import { Scanner } from '../../src/checkpoints/scan.js';
import { files } from '../../src/util/os/durable.js';
import { layFramework } from './layout-samples.js';
import { bytesIn, lay, look, npz, open, scratch, told, value } from './samples.js';

const ids = async (dir: string): Promise<string[]> =>
  (await new Scanner(dir, 'auto').scan(() => false)).units.map((unit) => unit.id);

const refused = (code: string): Promise<never> =>
  Promise.reject(Object.assign(new Error(`${code}: not allowed`), { code }));

describe('whatever lies there, a look neither fails nor takes what is no checkpoint', () => {
  test('an empty folder, and one that is not there', async (t) => {
    const dir = scratch(t);
    assert.deepEqual(await ids(dir), []);
    assert.deepEqual(await ids(path.join(dir, 'gone')), []);
  });

  test('unrelated files only', async (t) => {
    const dir = scratch(t);
    lay(dir, { 'train.py': 'import x', 'README.md': '#', 'a/b/c.txt': 'x', '1': 'one', 'checkpoint-x': 'y', 'step-1.txt': 'z' }); // prettier-ignore
    assert.deepEqual(await ids(dir), []);
  });

  test('names with newlines, other scripts, quotes, bytes that are no UTF-8', async (t) => {
    const dir = scratch(t);
    layFramework(dir, 'huggingface');
    lay(dir, { 'a\nb': 'x', 'größe ☃': 'y', 'quo\'te"': 'z', 'шаг-1.npz': npz(), '-rf': 'r', '   ': 's' });
    writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xff, 0xfe])]), 'x');
    assert.deepEqual(await ids(dir), ['checkpoint-100', 'checkpoint-200', 'checkpoint-300']);
  });

  test('loops of links, links to folders that hold checkpoints, dangling ones', async (t) => {
    const dir = scratch(t);
    layFramework(dir, 'diffusers');
    symlinkSync('loop', path.join(dir, 'loop'));
    symlinkSync('.', path.join(dir, 'checkpoint-400'));
    symlinkSync('checkpoint-100', path.join(dir, 'checkpoint-500'));
    symlinkSync('nowhere', path.join(dir, 'checkpoint-600'));
    symlinkSync('..', path.join(dir, 'checkpoint-300', 'up'));
    assert.deepEqual(await ids(dir), ['checkpoint-100', 'checkpoint-200', 'checkpoint-300']);
  });

  test('a 0-byte file where a checkpoint was to be, in every framework', async (t) => {
    for (const name of layoutNames) {
      const dir = scratch(t);
      layFramework(dir, name);
      const { units } = await new Scanner(dir, 'auto').scan(() => false);
      const main = units.at(-1)?.files[0]?.path ?? '';
      writeFileSync(path.join(dir, main), '');
      const { store } = await open(t, dir);
      const newest = (await look(store)).at(-1);
      assert.ok(newest && ['partial', 'corrupt'].includes(newest.standing), `${name}: ${main} ${newest?.standing ?? ''}`); // prettier-ignore
    }
  });

  test('a fifo and a socket’s name', async (t) => {
    const dir = scratch(t);
    layFramework(dir, 'megatron');
    // what is no file is never opened: a read would wait for a writer for ever
    execFileSync('mkfifo', ['latest', 'ckpt.pt', 'last.pt', 'last_checkpoint', 'checkpoint_1'], { cwd: dir });
    assert.equal((await ids(dir)).length, 3);
  });
});

describe('what goes away or is closed', () => {
  test('a checkpoint that vanishes between the list and the look', async (t) => {
    for (const name of layoutNames) {
      const dir = scratch(t);
      layFramework(dir, name);
      const entries = readdirSync(dir).sort();
      const scanner = new Scanner(dir, 'auto');
      const found = await scanner.look();
      for (const entry of entries) rmSync(path.join(dir, entry), { recursive: true });
      // every layout meets a folder whose entries are gone
      const { layout } = await layoutFor('auto', found);
      await layout.units(found);
      assert.deepEqual((await scanner.scan(() => false)).units, [], name);
    }
  });

  test('a file that vanishes while it is read is no longer there', async (t) => {
    const dir = scratch(t);
    layFramework(dir, 'huggingface');
    const { store } = await open(t, dir);
    const looking = store.inspect({ live: false, budgetMs: 60_000 });
    renameSync(path.join(dir, 'checkpoint-300'), path.join(scratch(t), 'away'));
    const facts = value(await looking).checkpoints;
    assert.deepEqual(told(facts.slice(0, 2)), ['checkpoint-100:verified', 'checkpoint-200:verified']);
  });

  test('a folder without permission: said, never taken for good', async (t) => {
    const dir = scratch(t);
    layFramework(dir, 'huggingface');
    // root may read everything, so the system's answer is given here
    const { readdir } = fs;
    t.mock.method(fs, 'readdir', (name: string, options: object) =>
      name.endsWith('checkpoint-300') ? refused('EACCES') : readdir(name, options),
    );
    const { store } = await open(t, dir);
    const newest = (await look(store)).at(-1);
    assert.equal(newest?.standing, 'complete');
    assert.match(newest.why, /cannot be read \(EACCES\)/);
  });

  test('a file without permission, in every framework: the look goes on, and nothing is called good', async (t) => {
    for (const name of layoutNames) {
      const dir = scratch(t);
      layFramework(dir, name);
      const { open: openFile } = files;
      const mocked = t.mock.method(files, 'open', (file: string, ...rest: [number, number]) =>
        file.startsWith(dir) ? refused('EACCES') : openFile(file, ...rest),
      );
      const { store } = await open(t, dir, { readOnly: true });
      const standings = (await look(store)).map((fact) => fact.standing);
      mocked.mock.restore();
      assert.deepEqual(standings.filter((standing) => standing === 'verified'), [], name); // prettier-ignore
    }
  });

  test('nothing is changed by looking, in any framework', async (t) => {
    for (const name of layoutNames) {
      const dir = scratch(t);
      layFramework(dir, name);
      mkdirSync(path.join(dir, 'empty'));
      const before = bytesIn(dir);
      const { store } = await open(t, dir);
      await look(store);
      assert.deepEqual(bytesIn(dir), before, name);
    }
  });
});
