import assert from 'node:assert/strict';
import { ChildProcess, execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { codeFacts } from '../../src/commands/code-facts.js';
import type { CodeFacts } from '../../src/failure/types.js';
import { atEnd } from '../support/cleanup.js';
import { eventually } from '../support/eventually.js';
import { killLeftovers } from '../support/leftovers.js';
import { tempDir } from '../support/temp-dir.js';

const hasGit = spawnSync('git', ['--version']).status === 0;

const facts = async (cwd: string, ...argv: [string, ...string[]]): Promise<CodeFacts> =>
  (await codeFacts({ cwd, argv, env: process.env })) ?? assert.fail('nothing was answered');

function git(cwd: string, ...args: string[]): string {
  const who = ['-c', 'user.name=a', '-c', 'user.email=a@b.c', '-c', 'commit.gpgsign=false'];
  return execFileSync('git', ['-C', cwd, ...who, ...args], { encoding: 'utf8', stdio: 'pipe' }).trim();
}

test('in a repository: the commit, and a digest of every edit since', async (t) => {
  if (!hasGit) {
    t.skip('no git here');
    return;
  }
  const dir = tempDir(t);
  writeFileSync(path.join(dir, 'train.py'), 'x = 1\n');
  writeFileSync(path.join(dir, 'model.py'), 'y = 1\n');
  writeFileSync(path.join(dir, 'metrics.json'), '{}');
  git(dir, 'init', '-q');
  git(dir, 'add', '.');
  git(dir, 'commit', '-qm', 'one');
  const ask = (): Promise<CodeFacts> => facts(dir, 'sh', 'train.py');
  const index = (): Buffer => readFileSync(path.join(dir, '.git/index'));

  const clean = await ask();
  assert.deepEqual([clean.head, clean.diff], [git(dir, 'rev-parse', 'HEAD'), undefined]);
  writeFileSync(path.join(dir, 'weights.pt'), 'what training writes is no edit');
  writeFileSync(path.join(dir, 'metrics.json'), '{"loss": 1}');
  assert.deepEqual(await ask(), clean);

  const before = index();
  writeFileSync(path.join(dir, 'model.py'), 'y = 2\n');
  const edited = await ask();
  assert.match(edited.diff ?? '', /^xxh3-64:[0-9a-f]{16}$/);
  assert.deepEqual(await ask(), edited);
  assert.deepEqual(index(), before, 'the index is left alone');
  writeFileSync(path.join(dir, 'model.py'), 'y = 3\n');
  assert.notEqual((await ask()).diff, edited.diff);

  git(dir, 'commit', '-qam', 'two');
  const later = await ask();
  assert.equal(later.diff, undefined);
  assert.notEqual(later.head, clean.head);

  // a script of today, which git does not know yet
  writeFileSync(path.join(dir, 'new.py'), 'z = 1\n');
  const fresh = await facts(dir, 'sh', 'new.py');
  writeFileSync(path.join(dir, 'new.py'), 'z = 2\n');
  assert.equal(fresh.head, later.head);
  assert.notEqual((await facts(dir, 'sh', 'new.py')).diff, fresh.diff);
  assert.deepEqual(await facts(tempDir(t), 'sh', path.join(dir, 'train.py')), later, 'from another folder');
});

test('outside of a repository: a digest of the script', async (t) => {
  const dir = tempDir(t);
  mkdirSync(path.join(dir, 'pkg'));
  const script = path.join(dir, 'pkg/train.py');
  writeFileSync(script, 'x = 1\n');
  const asFile = await facts(dir, 'sh', '--lr', '0.1', 'pkg/train.py', 'other.py');
  const asModule = await facts(dir, 'sh', '-m', 'pkg.train');
  assert.equal(asFile.head, undefined);
  assert.match(asFile.diff ?? '', /^xxh3-64:/);
  assert.deepEqual(asModule, asFile);
  writeFileSync(script, 'x = 2\n');
  assert.notEqual((await facts(dir, 'sh', 'pkg/train.py')).diff, asFile.diff);
  assert.equal((await facts(dir, 'sh', '-c', 'true')).diff, undefined);
});

test('the interpreter, and its version if it is Python', async (t) => {
  const dir = tempDir(t);
  const program = (name: string, script: string): string => {
    const file = path.join(dir, name);
    writeFileSync(file, `#!/bin/sh\n${script}\n`);
    chmodSync(file, 0o755);
    return file;
  };
  const asked = path.join(dir, 'asked');
  const python = program('python3.9', `echo x >>${asked}; echo Python 3.9.1`);
  assert.equal((await facts(dir, './python3.9', 'a.py')).interpreter, `${python} (Python 3.9.1)`);
  await facts(dir, python, 'a.py');
  assert.equal(readFileSync(asked, 'utf8'), 'x\n', 'asked once');
  const launcher = program('torchrun', 'echo never asked; exit 1');
  assert.equal((await facts(dir, launcher, 'a.py')).interpreter, launcher);
  assert.match(
    (await facts(dir, 'python3', 'a.py')).interpreter ?? '',
    /^\/.*\/python3 \(Python 3\.\d+\.\S+\)$/,
  );
  assert.equal((await facts(dir, 'there-is-no-such-program')).interpreter, undefined);
});

test('what git does not say in time is not known at all: half of it would look like an edit', async (t) => {
  const dir = tempDir(t);
  atEnd(t, () => killLeftovers('NONE=none', dir));
  writeFileSync(path.join(dir, 'train.py'), 'x = 1\n');
  writeFileSync(path.join(dir, 'git'), '#!/bin/sh\nexec sleep 60\n', { mode: 0o755 });
  const env = { PATH: `${dir}:${process.env['PATH'] ?? ''}` };
  // as on a dead mount: SIGKILL does not end it
  const { mock } = t.mock.method(ChildProcess.prototype, 'kill', () => true);
  assert.equal(await codeFacts({ cwd: dir, argv: ['sh', 'train.py'], env }), undefined);
  assert.ok(mock.callCount() > 0);
  mock.restore();
  // and no git is as good as no repository
  const without = await codeFacts({ cwd: dir, argv: ['/bin/sh', 'train.py'], env: { PATH: '/nowhere' } });
  assert.match(without?.diff ?? '', /^xxh3-64:/);
});

test('a disk that does not answer is given up, and not asked again until it does', async (t) => {
  const dir = tempDir(t);
  writeFileSync(path.join(dir, 'train.py'), 'x = 1\n');
  const ask = (limitMs?: number): Promise<CodeFacts | undefined> =>
    codeFacts({ cwd: dir, argv: ['/bin/sh', 'train.py'], env: { PATH: '/nowhere' } }, limitMs);
  let fail: (error: Error) => void = () => assert.fail('not asked');
  const answer = new Promise<never>((_, reject) => (fail = reject));
  const { mock } = t.mock.method(fs, 'stat', () => answer);
  assert.equal(await ask(50), undefined);
  mock.restore();
  assert.equal(await ask(), undefined, 'not asked');
  fail(Object.assign(new Error('stale'), { code: 'ESTALE' }));
  await eventually(async () => (await ask())?.diff !== undefined, 'an answer');
});
