import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { readMain, readStatus, giveUpLaunch } from '../../../src/engines/local/launch-record.js';
import { shimArguments, shimLost } from '../../../src/engines/local/shim.js';
import { lives, tempDir, until } from './support.js';

const shells = ['/bin/sh', '/bin/dash', '/bin/bash'].filter((shell) => existsSync(shell));

function prepared(dir: string): string {
  mkdirSync(path.join(dir, 'go'), { recursive: true });
  writeFileSync(path.join(dir, 'pid'), ' '.repeat(1024));
  writeFileSync(path.join(dir, 'exit'), ' '.repeat(256));
  writeFileSync(path.join(dir, 'shim.err'), '');
  return dir;
}

function startShim(shell: string, dir: string, argv: readonly string[], signal = 'SIGTERM'): ChildProcess {
  const err = openSync(path.join(dir, 'err.log'), 'a');
  try {
    return spawn(shell, shimArguments(shell, dir, signal, argv), {
      stdio: ['ignore', openSync(path.join(dir, 'out.log'), 'a'), err],
      detached: true,
    });
  } finally {
    closeSync(err);
  }
}

async function runShim(shell: string, dir: string, argv: readonly string[]): Promise<number | undefined> {
  await once(startShim(shell, prepared(dir), argv), 'exit');
  return readStatus(dir);
}

for (const shell of shells) {
  test(`${shell}: of racing shims exactly one starts the command`, async (t) => {
    const dir = prepared(tempDir(t));
    const racers = Array.from({ length: 8 }, () => startShim(shell, dir, ['sh', '-c', 'echo ran']));
    const codes = await Promise.all(racers.map(async (racer) => (await once(racer, 'exit'))[0] as number));
    assert.equal(codes.filter((code) => code === 0).length, 1);
    assert.equal(codes.filter((code) => code === shimLost).length, 7);
    assert.equal(readFileSync(path.join(dir, 'out.log'), 'utf8'), 'ran\n');
  });

  test(`${shell}: leaves the status as it was`, async (t) => {
    const dir = tempDir(t);
    const status = (name: string, argv: string[]): Promise<number | undefined> =>
      runShim(shell, path.join(dir, name), argv);
    assert.equal(await status('0', ['true']), 0);
    assert.equal(await status('1', ['sh', '-c', 'exit 1']), 1);
    const sizes = ['pid', 'exit'].map((name) => statSync(path.join(dir, '1', name)).size);
    assert.deepEqual(sizes, [1024, 256], 'written in place');
    assert.equal(await status('127', ['./not-there']), 127);
    assert.match(readFileSync(path.join(dir, '127', 'err.log'), 'utf8'), /not-there/);
    assert.equal(await status('126', ['/etc/passwd']), 126);
    assert.equal(await status('137', ['sh', '-c', 'kill -9 $$']), 137);
    assert.equal(await status('143', ['sh', '-c', 'kill -15 $$']), 143);
    assert.equal(readFileSync(path.join(dir, '137', 'err.log'), 'utf8'), '', 'the shell speaks in shim.err');
  });

  test(`${shell}: lives through signals to the group, and names the main process`, async (t) => {
    const dir = prepared(tempDir(t));
    const script = `trap : HUP INT QUIT TERM USR1 USR2 ALRM; echo on; while [ ! -e ${dir}/end ]; do sleep 0.05; done; exit 3`;
    const shim = startShim(shell, dir, ['sh', '-c', script], 'SIGALRM');
    const exited = once(shim, 'exit');
    await until('the command is at work', () => readFileSync(path.join(dir, 'out.log'), 'utf8') === 'on\n');
    const main = readMain(dir);
    assert.ok(main && lives(main.pid));
    assert.equal(main.session, shim.pid);
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGALRM'] as const)
      process.kill(shim.pid!, signal);
    writeFileSync(path.join(dir, 'end'), '');
    await exited;
    assert.equal(readStatus(dir), 3);
  });

  test(`${shell}: sets the soft limit of open files; one that cannot be set is said, and the command runs`, async (t) => {
    const limitsBy = async (name: string, limit?: number): Promise<string> => {
      const dir = prepared(path.join(tempDir(t), name));
      const out = openSync(path.join(dir, 'out.log'), 'a');
      // a command that changes its own limit is the last to do so
      const script = 'ulimit -S -n; ulimit -H -n; ulimit -S -n 70; ulimit -S -n';
      const args = shimArguments(shell, dir, 'SIGTERM', ['sh', '-c', script], [['odd.name', 'x']], limit);
      await once(spawn(shell, args, { stdio: ['ignore', out, 'ignore'], detached: true }), 'exit');
      closeSync(out);
      assert.equal(readStatus(dir), 0);
      const said = readFileSync(path.join(dir, 'shim.err'), 'utf8');
      return `${readFileSync(path.join(dir, 'out.log'), 'utf8').trim().replaceAll('\n', ' ')}${said && ' and said'}`;
    };
    const [soft = '', hard = ''] = spawnSync('sh', ['-c', 'ulimit -S -n; ulimit -H -n'], { encoding: 'utf8' })
      .stdout.trim()
      .split('\n');
    assert.equal(await limitsBy('none'), `${soft} ${hard} 70`);
    assert.equal(await limitsBy('lower', 77), `77 ${hard} 70`);
    assert.equal(await limitsBy('beyond', Number(hard) + 1), `${soft} ${hard} 70 and said`);
  });

  test(`${shell}: the right status on a full disk`, async (t) => {
    const dir = fullDisk(t);
    if (dir === undefined) return;
    prepared(dir);
    const filled = spawnSync('sh', ['-c', `cat /dev/zero >${dir}/fill`]);
    assert.notEqual(filled.status, 0, 'the disk is not full');
    const shim = spawn(shell, shimArguments(shell, dir, 'SIGTERM', ['sh', '-c', 'kill -9 $$']), {
      stdio: 'ignore',
    });
    await once(shim, 'exit');
    assert.equal(readStatus(dir), 137);
    assert.ok(readMain(dir));
  });
}

test('a launch that was given up never starts', async (t) => {
  const dir = prepared(tempDir(t));
  assert.equal(await giveUpLaunch(dir), true);
  const [code] = (await once(startShim('/bin/sh', dir, ['sh', '-c', 'echo ran']), 'exit')) as [number];
  assert.equal(code, shimLost);
  assert.equal(readFileSync(path.join(dir, 'out.log'), 'utf8'), '');
  assert.equal(await giveUpLaunch(dir), false);
});

function fullDisk(t: TestContext): string | undefined {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'trainguard-full-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', dir]);
  t.after(() => {
    if (mounted.status === 0) spawnSync('umount', [dir]);
    rmdirSync(dir);
  });
  if (mounted.status !== 0) {
    t.skip('a small tmpfs cannot be mounted here (needs root)');
    return undefined;
  }
  return dir;
}
