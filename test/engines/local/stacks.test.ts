import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { mono } from '../../../src/util/os/boot.js';
import { root } from '../../support/root.js';
import { launch, lives, order, tempDir, until, type Launched, type LaunchOptions } from './support.js';

const recording = (name: string): string => path.join(root, 'fixtures/stacks', name);

/** A folder with a program `py-spy` that runs this script of sh; its arguments end in the pid. */
function fakePySpy(t: TestContext, script: string): string {
  const dir = tempDir(t);
  writeFileSync(path.join(dir, 'py-spy'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return dir;
}

/** Shows the recording as if it were of the process that is asked for. */
const shows = (name: string): string => `for pid; do :; done; sed "s/\\b3956\\b/$pid/" '${recording(name)}'`;

/** What `python3` names may be a script that looks for the real one. */
const python = execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], {
  encoding: 'utf8',
}).trim();

const hangs = `import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def stands_here(pipe):
    print('on', flush=True)
    os.read(pipe, 1)
stands_here(os.pipe()[0])`;

async function launchHanging(
  t: TestContext,
  pySpyIn: string | undefined,
  options: LaunchOptions & { code?: string } = {},
): Promise<Launched & { stacks: () => string }> {
  const PATH = [pySpyIn, process.env['PATH']].join(':');
  const { code = hangs, ...others } = options;
  const launched = await launch(t, [python, '-c', code, '--api-key', 'hunter2-hunter2'], {
    ...others,
    spec: { env: { PATH, ...(pySpyIn !== undefined && { VIRTUAL_ENV: venvOf(t, pySpyIn) }) } },
  });
  await launched.said(/^on/);
  return { ...launched, stacks: () => readFileSync(path.join(launched.attemptDir, 'stacks.txt'), 'utf8') };
}

/** A virtual environment as far as py-spy is concerned. */
function venvOf(t: TestContext, pySpyIn: string): string {
  const venv = tempDir(t);
  mkdirSync(path.join(venv, 'bin'));
  copyFileSync(path.join(pySpyIn, 'py-spy'), path.join(venv, 'bin/py-spy'));
  return venv;
}

const realPySpy = (process.env['PATH'] ?? '')
  .split(':')
  .find((dir) => dir !== '' && existsSync(path.join(dir, 'py-spy')));

describe('the stacks of a hanging attempt', { concurrency: 4 }, () => {
  test('by py-spy: the line of the user’s code, and what the kernel says of it', async (t) => {
    const { worker, attemptDir, stacks } = await launchHanging(t, fakePySpy(t, shows('py-spy-deadlock.txt')));
    assert.equal(worker.stacks, undefined);
    await worker.dumpStacks();
    const file = path.join(attemptDir, 'stacks.txt');
    assert.deepEqual(worker.stacks, { file, by: 'py-spy', top: 'take (deadlock.py line 7)' });
    assert.match(stacks(), new RegExp(`Thread ${worker.pid} `));
    assert.match(stacks(), /in the system call read on pipe:\[\d+\]/);
    assert.doesNotMatch(stacks(), /hunter2/);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.ok(lives(worker.pid));
    assert.equal(worker.isSuspended(), false);
  });

  test('by a real py-spy, where there is one that may look', async (t) => {
    if (realPySpy === undefined) {
      t.skip('no py-spy on PATH');
      return;
    }
    const { worker, stacks } = await launchHanging(t, realPySpy);
    await worker.dumpStacks();
    if (worker.stacks?.by !== 'py-spy' && stacks().includes('does not let it')) {
      t.skip('py-spy may not look at other processes here');
      return;
    }
    assert.deepEqual([worker.stacks?.by, worker.stacks?.top], ['py-spy', 'stands_here (<string> line 5)']);
    assert.ok(lives(worker.pid));
    assert.equal(worker.isSuspended(), false);
  });

  test('without py-spy: what the kernel knows', async (t) => {
    const { worker, said, attemptDir } = await launch(t, [
      'sh',
      '-c',
      'mkfifo f; echo on; exec 3<>f; exec cat <&3',
    ]);
    await said(/^on/);
    const reads = /^the system call read on \/.*\/f$/;
    await worker.dumpStacks();
    for (let i = 0; i < 200 && !reads.test(worker.stacks?.top ?? ''); i++) await worker.dumpStacks(); // it becomes cat
    assert.match(worker.stacks?.top ?? '', reads);
    assert.equal(worker.stacks?.by, 'proc');
    assert.match(readFileSync(path.join(attemptDir, 'stacks.txt'), 'utf8'), /thread \d+ cat: S \(sleeping\)/);
  });

  test('py-spy that is refused is told of, with the way out', async (t) => {
    const dir = fakePySpy(t, `cat '${recording('py-spy-refused.txt')}' >&2; exit 1`);
    const { worker, stacks } = await launchHanging(t, dir);
    await worker.dumpStacks();
    assert.match(stacks(), /does not let it \(Yama: .*ptrace_scope=0/);
    assert.equal(worker.stacks?.by, 'proc');
    assert.match(worker.stacks.top ?? '', /^the system call read/);
  });

  test('py-spy that cannot pause it reads it as it stands', async (t) => {
    const dir = fakePySpy(
      t,
      `case "$*" in *--nonblocking*) ${shows('py-spy-deadlock.txt')} ;; *) cat '${recording('py-spy-failed.txt')}' >&2; exit 1 ;; esac`,
    );
    const { worker } = await launchHanging(t, dir);
    await worker.dumpStacks();
    assert.equal(worker.stacks?.by, 'py-spy');
  });

  test('a process that stands (state T) is never paused, and stands as before', async (t) => {
    const asked = path.join(tempDir(t), 'asked');
    const { worker } = await launchHanging(t, fakePySpy(t, `echo "$*" >>${asked}; exit 1`));
    process.kill(worker.pid, 'SIGSTOP');
    await until('it stands', () => worker.isSuspended());
    await worker.dumpStacks();
    const lines = readFileSync(asked, 'utf8').trim().split('\n');
    assert.ok(
      lines.every((line) => line.includes('--nonblocking')),
      lines.join('\n'),
    );
    assert.ok(worker.isSuspended());
  });

  test('py-spy that hangs holds nothing up: not the dump for long, a kill not at all', async (t) => {
    const pids = path.join(tempDir(t), 'pids');
    const dir = fakePySpy(t, `echo $$ >>${pids}; exec sleep 60`);
    // the 12 s of its bound are over at once
    const after = (delayMs: number, callback: () => void): (() => void) => {
      const timer = setTimeout(callback, delayMs >= 10_000 ? 300 : delayMs);
      return () => clearTimeout(timer);
    };
    const clock = { now: () => Date.now(), mono, after };
    const { worker, stacks } = await launchHanging(t, dir, { engine: { clock } });
    const begun = until('it was called', () => existsSync(pids) && readFileSync(pids, 'utf8').trim());
    await worker.dumpStacks();
    assert.match(stacks(), /the time was up/);
    assert.equal(worker.stacks?.by, 'proc');
    worker.stop(order(60_000, { dumpStacks: true }));
    worker.kill();
    assert.deepEqual(await worker.ended, { type: 'signal', signal: 'SIGKILL', number: 9 });
    await begun;
    for (const pid of readFileSync(pids, 'utf8').trim().split('\n').map(Number)) {
      if (lives(pid)) process.kill(pid, 'SIGKILL');
    }
  });

  test('the grace begins with the stop signal, however long py-spy took', async (t) => {
    const dir = fakePySpy(t, 'case "$*" in *--nonblocking*) ;; *) sleep 3 ;; esac; exit 1');
    const saves = `import time
def save(*_):
    time.sleep(0.2)
    print('saved', flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, save)
`;
    const code = hangs.replace(/^signal\..*\n/m, saves);
    const { worker, lines } = await launchHanging(t, dir, { code });
    worker.stop(order(2900, { dumpStacks: true }));
    assert.deepEqual(await worker.ended, { type: 'code', code: 0 });
    assert.ok(lines.includes('saved'));
  });

  test('what faulthandler prints on SIGABRT is kept, and tells where, but for a py-spy that said so', async (t) => {
    const dir = fakePySpy(t, 'exit 1');
    const code = `import faulthandler; faulthandler.enable()\n${hangs}`;
    const { worker, stacks, attemptDir } = await launchHanging(t, dir, { code });
    worker.stop(order(100, { dumpStacks: true }));
    assert.deepEqual(await worker.ended, { type: 'signal', signal: 'SIGABRT', number: 6 });
    const file = path.join(attemptDir, 'stacks.txt');
    assert.deepEqual(worker.stacks, { file, by: 'faulthandler', top: 'stands_here (<string> line 6)' });
    assert.match(stacks(), /printed on SIGABRT\nFatal Python error: Aborted/);
  });

  test('who would die of the stop signal without a word gets SIGABRT in its place, if nothing else told the stacks', async (t) => {
    const code = `import faulthandler; faulthandler.enable()\n${hangs.replace('SIG_IGN', 'SIG_DFL')}`;
    const endOf = async (pySpy: string): Promise<unknown> => {
      const { worker } = await launchHanging(t, fakePySpy(t, pySpy), { code });
      worker.stop(order(20_000, { dumpStacks: true }));
      const exit = await worker.ended;
      return [exit.type === 'signal' && exit.signal, worker.stacks?.by];
    };
    assert.deepEqual(await endOf('exit 1'), ['SIGABRT', 'faulthandler']);
    assert.deepEqual(await endOf(shows('py-spy-deadlock.txt')), ['SIGTERM', 'py-spy']);
  });

  test('who writes which checkpoint file', async (t) => {
    const dir = tempDir(t);
    const code = `f = open('${dir}/step_10.pt', 'wb')\n${hangs}`;
    const { worker, stacks } = await launchHanging(t, fakePySpy(t, 'exit 1'), {
      code,
      engine: { checkpointDirs: [dir] },
    });
    await worker.dumpStacks();
    assert.match(
      stacks(),
      new RegExp(`open for writing in the checkpoint folder\n${worker.pid} ${dir}/step_10.pt`),
    );
  });

  test('an attempt that has ended is no error', async (t) => {
    const { worker, notices, attemptDir } = await launch(t, ['true']);
    await worker.ended;
    await worker.dumpStacks();
    assert.deepEqual(notices, []);
    assert.equal(worker.stacks?.top, undefined);
    assert.ok(existsSync(path.join(attemptDir, 'stacks.txt')));
  });
});
