import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { errorCode, sweepTemporaries, writeFileAtomic } from '../../src/util/os/durable.js';
import { everyFault } from '../support/faults.js';
import { root } from '../support/root.js';
import { tempDir } from '../support/temp-dir.js';

test('an atomic write leaves the old or the new, and no temporary file, whatever goes wrong where', async (t) => {
  const dir = tempDir(t);
  const file = path.join(dir, 'state.json');
  const cases = await everyFault(
    () => {
      for (const name of readdirSync(dir)) rmSync(path.join(dir, name));
      writeFileSync(file, 'the old truth');
      return Promise.resolve();
    },
    () => writeFileAtomic(file, 'the new truth, a bit longer'),
    async ({ crashed, error, fault, hit }) => {
      const left = readFileSync(file, 'utf8');
      if (!crashed && error === undefined) assert.equal(left, 'the new truth, a bit longer');
      else assert.ok(['the old truth', 'the new truth, a bit longer'].includes(left), left);
      assert.equal(
        !crashed && fault === 'short write',
        !crashed && error === undefined,
        'only that is mended',
      );
      if (error !== undefined) assert.ok(errorCode(error), 'the system’s own error');
      const mayStay = crashed || fault === 'disk read-only';
      if (!mayStay) assert.deepEqual(readdirSync(dir), ['state.json'], String(hit));
      await writeFileAtomic(file, 'the next');
      assert.equal(readFileSync(file, 'utf8'), 'the next');
      await sweepTemporaries(dir);
      assert.deepEqual(readdirSync(dir), ['state.json']);
    },
  );
  // open, write, sync, rename, sync of the folder: each in six ways at least
  assert.ok(cases >= 30, `only ${cases} cases`);
});

test('what changes the disk goes through the files that tests can make fail, but for these', () => {
  /** Where it does not, and why a test that fails each call would show nothing there. */
  const exempt: Readonly<Record<string, string>> = {
    'util/os/terminal-writer.ts': 'writes to a terminal or a pipe',
    'util/os/lock-socket.ts': 'short-lived links to sockets, outside the state folder',
    'engines/local/prepare.ts':
      'synchronous: a restart waits for it; an attempt that cannot be prepared is not begun',
    'engines/local/launch-record.ts': 'removes go/: one call, which won or lost',
    'engines/local/log-prune.ts': "removes the worker's logs",
    'engines/local/stacks.ts': 'an appendix for people',
    'runs/rotating-file.ts': 'synchronous, so that the last words of a killed supervisor are there',
    'commands/drill-place.ts': 'a scratch copy, which is removed at the end of the drill',
    'commands/preflight/disk.ts': 'tries whether a folder can be written',
    'commands/tether.ts': 'writes to a pipe',
    'commands/take-up.ts': 'takes back a run that never began',
  };
  const src = path.join(root, 'src');
  const changing =
    /\b(?:fs\.)?(?:writeFile|appendFile|rename|unlink|rmdir|rm|mkdir|truncate|copyFile|link|symlink|utimes|chmod|cp|mkdtemp)(?:Sync)?\(|\b(?:writeSync|createWriteStream)\(/;
  const own = /\bfiles\.\w+\(|\bhandle\.\w+\(|#handle\.\w+\(/g;
  const found = (readdirSync(src, { recursive: true }) as string[])
    .filter((name) => name.endsWith('.ts'))
    .filter((name) => {
      const text = readFileSync(path.join(src, name), 'utf8');
      // only what imports the file system can touch it
      if (!/from 'node:fs(\/promises)?'/.test(text)) return false;
      return changing.test(text.replaceAll(own, ''));
    });
  assert.deepEqual(
    found.filter((name) => !(name in exempt)),
    [],
  );
  assert.deepEqual(
    Object.keys(exempt).filter((name) => !found.includes(name)),
    [],
    'no longer needed',
  );
});
