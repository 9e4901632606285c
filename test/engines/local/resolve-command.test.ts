import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { resolveCommand } from '../../../src/engines/local/resolve-command.js';
import { tempDir } from './support.js';

test('commands are found, or refused, as the shell would', (t) => {
  const cwd = tempDir(t);
  const file = (name: string, mode: number): void => {
    mkdirSync(path.dirname(path.join(cwd, name)), { recursive: true });
    writeFileSync(path.join(cwd, name), '#!/bin/sh\n', { mode });
  };
  file('a/run', 0o644);
  file('b/run', 0o755);
  file('a/plain.py', 0o644);
  mkdirSync(path.join(cwd, 'b/folder'));
  const find = (argv0: string, PATH: string | undefined = `${cwd}/a:${cwd}/none:${cwd}/b`): unknown => {
    const found = resolveCommand(argv0, { PATH }, cwd);
    return found.ok ? path.relative(cwd, found.value) : [found.error.exit, found.error.code];
  };
  assert.equal(find('run'), 'b/run', 'one that cannot be run does not hide one that can');
  assert.equal(find('./b/run'), 'b/run');
  assert.equal(find(path.join(cwd, 'b/run')), 'b/run');
  assert.equal(find('run', 'b'), 'b/run', 'relative to the working directory');
  assert.deepEqual(find('run', `${cwd}/a`), [126, 'EACCES']);
  assert.deepEqual(find('./a/plain.py'), [126, 'EACCES']);
  assert.deepEqual(find('./b/folder'), [126, 'EACCES']);
  assert.deepEqual(find('nothing'), [127, 'ENOENT']);
  assert.deepEqual(find('./b/nothing'), [127, 'ENOENT']);
  assert.deepEqual(find('./b/run/x'), [127, 'ENOENT']);
  assert.deepEqual(find(''), [127, 'ENOENT']);
  const nowhere = resolveCommand('run', { PATH: cwd }, path.join(cwd, 'gone'));
  assert.ok(!nowhere.ok && nowhere.error.message.includes('gone') && nowhere.error.exit === 126);
});
