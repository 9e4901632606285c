import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import {
  parseFaulthandler,
  parsePySpy,
  topOf,
  type PythonProcess,
} from '../../../src/engines/local/stack-frames.js';
import { syscallName, takesDescriptor } from '../../../src/engines/local/syscall-names.js';
import { root } from '../../support/root.js';

const recorded = (name: string): string => readFileSync(path.join(root, 'fixtures/stacks', name), 'utf8');

const process = (pid: number, depth: number, text: string, rank?: string): PythonProcess => ({
  ...{ pid, depth, threads: parsePySpy(text, pid) },
  ...(rank !== undefined && { rank }),
});

/** What py-spy would print of a main thread with these calls, the innermost first. */
const inMain = (...calls: string[]): string =>
  ['Thread 1 (idle): "MainThread"', ...calls.map((call) => `    ${call}`)].join('\n');

const launcher = process(3869, 0, recorded('py-spy-torchrun.txt'));
const rank = (n: number, recording: 0 | 1): PythonProcess =>
  process(n, 1, recorded(`py-spy-torchrun-rank-${recording}.txt`), String(n));

test('py-spy: threads, and of the main one the innermost call of the user’s code', () => {
  const threads = parsePySpy(recorded('py-spy-deadlock.txt'), 3956);
  assert.deepEqual(
    threads.map(({ main, frames }) => [main, frames.length]),
    [
      [true, 3],
      [false, 6],
    ],
  );
  assert.deepEqual(threads[0]?.frames[0], { name: 'take', file: '/train/deadlock.py', line: 7 });
  assert.equal(topOf([{ pid: 1, depth: 0, threads }]), 'take (deadlock.py line 7)');
  assert.deepEqual(parsePySpy(recorded('py-spy-failed.txt'), 1), []);
});

test('a package’s calls within it are left out, and so is the launcher', () => {
  assert.equal(topOf([launcher, rank(0, 0)]), 'train_step (train.py line 7)');
  assert.equal(
    topOf([launcher]),
    'SimpleElasticAgent._invoke_run (api.py line 922)',
    'but where all is of packages, the innermost of all is told',
  );
});

test('of several ranks the one that is elsewhere is named', () => {
  assert.equal(
    topOf([launcher, rank(0, 0), rank(1, 1), rank(2, 0), rank(3, 0)]),
    'rank 1 in load_batch (train.py line 4), 3 others in train_step (train.py line 7)',
  );
  assert.equal(topOf([launcher, rank(0, 0), rank(1, 0)]), 'train_step (train.py line 7)');
});

test('a parent that only waits for its children is not where it hangs', () => {
  const parent = inMain(
    'wait (/usr/lib/python3.11/multiprocessing/connection.py:930)',
    'join (/venv/lib/python3.11/site-packages/torch/multiprocessing/spawn.py:132)',
    'main (/train/train.py:40)',
  );
  const tracker = inMain(
    'main (/usr/lib/python3.11/multiprocessing/resource_tracker.py:209)',
    '<module> (<string>:1)',
  );
  const child = inMain(
    'all_reduce (/venv/lib/python3.11/site-packages/torch/distributed/distributed_c10d.py:4181)',
    'work (/train/train.py:21)',
    '_bootstrap (/usr/lib/python3.11/multiprocessing/process.py:314)',
    '<module> (<string>:1)',
  );
  const all = [process(1, 0, parent), process(2, 1, tracker), process(3, 1, child), process(4, 1, child)];
  assert.equal(topOf(all), 'work (train.py line 21)');
  assert.equal(topOf(all.slice(0, 1)), 'main (train.py line 40)');
});

test('code of `python -c` is the user’s', () => {
  assert.equal(
    topOf([process(1, 0, inMain('f (<string>:2)', '<module> (<string>:3)'))]),
    'f (<string> line 2)',
  );
  assert.equal(topOf([]), undefined);
});

test('faulthandler: the main thread is the one that began in no function of threading', () => {
  const threads = parseFaulthandler(recorded('faulthandler.txt'));
  assert.deepEqual(
    threads.map(({ main }) => main),
    [false, true],
  );
  assert.equal(topOf([{ pid: 0, depth: 0, threads }]), 'train_step (fh.py line 4)');
  assert.deepEqual(parseFaulthandler('Traceback (most recent call last):\n  File "a.py", line 1 in x'), []);
});

test('system calls by their numbers', () => {
  assert.equal(syscallName(0, 'x64'), 'read');
  assert.equal(syscallName(202, 'x64'), 'futex');
  assert.equal(syscallName(98, 'arm64'), 'futex');
  assert.equal(syscallName(202, 'arm64'), 'accept');
  assert.equal(syscallName(9999, 'x64'), '9999');
  assert.equal(syscallName(0, 'riscv64'), '0');
  assert.ok(takesDescriptor('recvfrom') && !takesDescriptor('futex'));
});
