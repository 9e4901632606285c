import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { isDead, listProcesses, parseStat, readLiving, readProcess } from '../../../src/util/os/proc.js';
import { listByPs, parsePsLine } from '../../../src/util/os/proc-ps.js';
import { catchesSignal, sendSignal, signalName, signalNumber } from '../../../src/util/os/signals.js';
import { until } from '../local/support.js';

test('a process may be called anything: fields are counted from the last bracket', () => {
  const rest = 'S 1 42 43 0 -1 4194304 100 0 0 0 1 2 3 4 20 0 7 0 9921 3133440 397';
  const info = parseStat(`42 (a) R (b) ${rest} 18446744073709551615`);
  assert.deepEqual(info, {
    ...{ pid: 42, comm: 'a) R (b', state: 'S', ppid: 1, pgrp: 42, session: 43, threads: 7, startTime: 9921 },
  });
  assert.equal(parseStat(''), undefined);
  assert.equal(parseStat('12 (cut'), undefined);
});

test('a zombie is dead, a process whose first thread alone ended is not', () => {
  const base = { pid: 1, comm: '', ppid: 0, pgrp: 0, session: 0, startTime: 0 };
  assert.equal(isDead({ ...base, state: 'Z', threads: 1 }), true);
  assert.equal(isDead({ ...base, state: 'Z', threads: 4 }), false);
  assert.equal(isDead({ ...base, state: 'D', threads: 1 }), false);
});

test('we see ourselves; an id with another start time is another process', () => {
  const self = readProcess(process.pid);
  assert.ok(self);
  assert.equal(self.ppid, process.ppid);
  assert.ok(listProcesses().some(({ pid }) => pid === process.pid));
  assert.ok(readLiving(self));
  assert.equal(readLiving({ ...self, startTime: self.startTime + 1 }), undefined);
  assert.equal(sendSignal({ ...self, startTime: self.startTime + 1 }, 'SIGKILL'), 'gone');
});

test('ps tells the same where there is no /proc', (t) => {
  if (spawnSync('ps', ['-p', '1']).error) {
    t.skip('no ps here');
    return;
  }
  const line = '  301     1   301 Ss   Mon Nov 10 09:00:00 2025     /sbin/launchd -x';
  const info = parsePsLine(line);
  assert.deepEqual(
    [info?.pid, info?.ppid, info?.pgrp, info?.state, info?.comm],
    [301, 1, 301, 'S', '/sbin/launchd -x'],
  );
  const self = listByPs(process.pid)[0];
  assert.equal(self?.ppid, process.ppid);
  assert.ok(Number.isFinite(self.startTime));
});

test('signals by name and number, and whether a process handles one', async (t) => {
  assert.deepEqual(['TERM', 'SIGUSR1', 'NOPE'].map(signalNumber), [15, signalNumber('USR1'), undefined]);
  assert.deepEqual([6, 9, 15, 77].map(signalName), ['SIGABRT', 'SIGKILL', 'SIGTERM', undefined]);
  const child = spawn('sh', [
    '-c',
    "trap 'echo x' USR1; trap '' TERM; echo on; while :; do sleep 0.05; done",
  ]);
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  assert.deepEqual(
    ['SIGUSR1', 'SIGTERM', 'SIGUSR2'].map((signal) => catchesSignal(child.pid!, signal)),
    [true, false, false],
  );
  const id = readProcess(child.pid!)!;
  assert.equal(sendSignal(id, 'SIGKILL'), 'sent');
  await until('it is gone', () => readLiving(id) === undefined);
  assert.equal(sendSignal(id, 'SIGKILL'), 'gone');
});
