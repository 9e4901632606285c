import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { createLocalEngine } from '../../../src/engines/local/engine.js';
import { findLivingWorker, readLaunchRecord } from '../../../src/engines/local/launch-record.js';
import { bootId } from '../../../src/util/os/boot.js';
import { launch, lives, tempDir, until } from './support.js';

// they mostly wait, so they wait together
describe('a worker', { concurrency: 4 }, () => {
  test('exits are told apart', async (t) => {
    const exitOf = async (...argv: [string, ...string[]]): Promise<unknown> =>
      await (
        await launch(t, argv)
      ).worker.ended;
    assert.deepEqual(await exitOf('true'), { type: 'code', code: 0 });
    assert.deepEqual(await exitOf('sh', '-c', 'exit 1'), { type: 'code', code: 1 });
    assert.deepEqual(await exitOf('sh', '-c', 'exit 255'), { type: 'code', code: 255 });
    assert.deepEqual(await exitOf('sh', '-c', 'kill -9 $$'), {
      type: 'signal',
      signal: 'SIGKILL',
      number: 9,
    });
    assert.deepEqual(await exitOf('sh', '-c', 'kill -ABRT $$'), {
      type: 'signal',
      signal: 'SIGABRT',
      number: 6,
    });
  });

  test('a command that cannot be started says so, and an interpreter that is missing ends as its shell says', async (t) => {
    const missing = await (await launch(t, ['no-such-command-here'])).worker.ended;
    assert.equal(missing.type === 'not-started' && missing.code, 'ENOENT');
    const denied = await (await launch(t, ['/etc/passwd'])).worker.ended;
    assert.equal(denied.type === 'not-started' && denied.code, 'EACCES');
    const script = path.join(tempDir(t), 'script');
    writeFileSync(script, '#!/no/such/interpreter\n', { mode: 0o755 });
    const { worker, lines } = await launch(t, [script]);
    const exit = await worker.ended;
    assert.ok(exit.type === 'code' && (exit.code === 126 || exit.code === 127), JSON.stringify(exit));
    assert.notEqual(lines.length, 0);
  });

  test('the worker sees files, its own session, the environment given and what marks it', async (t) => {
    const script = `import os, sys, stat
print('stdin', os.readlink('/proc/self/fd/0'))
print('files', all(stat.S_ISREG(os.fstat(fd).st_mode) for fd in (1, 2)), sys.stdout.isatty())
print('append', [oct(os.fstat(fd).st_mode & 0o777) for fd in (1, 2)])
print('session', os.getsid(0) == os.getppid(), os.getpgrp() == os.getppid())
print('env', sorted(k for k in os.environ if 'PYENV' not in k and k not in ('PWD', 'OLDPWD', 'SHLVL', '_', 'LC_CTYPE')))
print('odd', os.environ['odd.name'], os.environ['PYTHONUNBUFFERED'])
print('cwd', os.getcwd())`;
    const { worker, lines, cwd, attemptDir } = await launch(t, ['python3', '-c', script], {
      spec: {
        env: { PATH: process.env['PATH'] ?? '', 'odd.name': 'a b', PYTHONUNBUFFERED: '2' },
        runId: 'r-1',
      },
    });
    assert.deepEqual(await worker.ended, { type: 'code', code: 0 });
    assert.deepEqual(lines, [
      'stdin /dev/null',
      'files True False',
      "append ['0o600', '0o600']",
      'session True True',
      "env ['PATH', 'PYTHONUNBUFFERED', 'TRAINGUARD_MARK_r_1', 'TRAINGUARD_RUN_ID', 'odd.name']",
      'odd a b 2',
      `cwd ${cwd}`,
    ]);
    const record = await readLaunchRecord(attemptDir);
    assert.deepEqual(
      [record?.runId, record?.bootId, record?.cwd, record?.argv[0]],
      ['r-1', bootId(), cwd, 'python3'],
    );
    assert.equal(statSync(attemptDir).mode & 0o777, 0o700);
  });

  test('what is printed is unbuffered, and lines come while the worker runs', async (t) => {
    const script = "import sys; print('early'); sys.stdin.read(); import time; time.sleep(60)";
    const { said, worker } = await launch(t, ['python3', '-c', script]);
    await said(/early/);
    assert.ok(lives(worker.pid));
  });

  test('ends only after every line, also one without an end; the offsets are the sizes', async (t) => {
    const { worker, lines, attemptDir } = await launch(t, [
      'sh',
      '-c',
      "printf 'a\\rb\\nlast é'; printf 'oops' >&2",
    ]);
    await worker.ended;
    assert.deepEqual(lines.sort(), ['a', 'b', 'last é', 'oops']);
    assert.deepEqual(worker.offsets, { out: 11, err: 4 });
    const tails = await worker.tails(6);
    assert.deepEqual(
      tails.map(({ source, text }) => [source, text]),
      [
        ['worker-0.err.log', 'oops'],
        ['worker-0.out.log', 'ast é'],
      ],
    );
    assert.equal(existsSync(path.join(attemptDir, 'go')), false);
  });

  test('drain brings every line that was printed before it', async (t) => {
    const { worker, lines, cwd } = await launch(t, [
      'sh',
      '-c',
      'i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done; : >done; sleep 60',
    ]);
    await until('all is printed', () => existsSync(path.join(cwd, 'done')));
    await worker.drain();
    assert.equal(lines.length, 2000);
    assert.equal(lines.at(-1), '1999');
  });

  test('no output at all', async (t) => {
    const { worker, lines } = await launch(t, ['true']);
    await worker.ended;
    assert.deepEqual([lines, worker.offsets], [[], { out: 0, err: 0 }]);
  });

  test('the shim killed alone: the attempt goes on, and its end is unknown', async (t) => {
    const { worker, said, cwd } = await launch(t, [
      'sh',
      '-c',
      'echo $PPID; while [ ! -e end ]; do sleep 0.02; done',
    ]);
    const shim = Number(await said(/^\d+$/));
    process.kill(shim, 'SIGKILL');
    await until('the shim is gone', () => !lives(shim));
    const first = await Promise.race([worker.ended, worker.tails(1).then(() => 'still at work')]);
    assert.equal(first, 'still at work');
    assert.ok(lives(worker.pid));
    writeFileSync(path.join(cwd, 'end'), '');
    assert.deepEqual(await worker.ended, { type: 'unknown' });
  });

  test('the shim stopped: the attempt ends with its status all the same', async (t) => {
    const { worker, said } = await launch(t, ['sh', '-c', 'echo $PPID; sleep 60; exit 1']);
    process.kill(Number(await said(/^\d+$/)), 'SIGSTOP');
    process.kill(worker.pid, 'SIGKILL');
    assert.deepEqual(await worker.ended, { type: 'signal', signal: 'SIGKILL', number: 9 });
  });

  test('a folder that was launched is refused, one whose launch nobody won is used', async (t) => {
    const { worker, attemptDir, cwd } = await launch(t, ['true']);
    await worker.ended;
    const engine = createLocalEngine({ logsKeepAttemptBytes: 2 ** 30 });
    const spec = {
      attempt: 0,
      argv: ['true'],
      cwd,
      env: { PATH: process.env['PATH'] ?? '' },
      runId: 'x',
    } as const;
    const events = { line: () => undefined, notice: () => undefined, stuck: () => undefined };
    const again = await engine.launch({ ...spec, attemptDir, stopSignal: 'SIGTERM', stdin: 'null' }, events);
    assert.equal(!again.ok && again.error.exit, 75);
    mkdirSync(path.join(attemptDir, 'go'));
    const unwon = await engine.launch({ ...spec, attemptDir, stopSignal: 'SIGTERM', stdin: 'null' }, events);
    assert.ok(unwon.ok);
    assert.deepEqual(await unwon.value.ended, { type: 'code', code: 0 });
  });

  test('the launch record names a living worker to whoever comes later', async (t) => {
    const { worker, said, attemptDir } = await launch(t, ['sh', '-c', 'echo on; exec sleep 60']);
    await said(/on/);
    const runDir = path.dirname(path.dirname(attemptDir));
    assert.equal((await findLivingWorker(runDir))?.pid, worker.pid);
    worker.kill();
    await worker.ended;
    assert.equal(await findLivingWorker(runDir), undefined);
  });

  test('a stopped worker is seen to be suspended', async (t) => {
    const { worker, said } = await launch(t, ['sh', '-c', 'echo on; sleep 60']);
    await said(/on/);
    assert.equal(worker.isSuspended(), false);
    process.kill(worker.pid, 'SIGSTOP');
    await until('it is seen', () => worker.isSuspended());
  });

  test('host facts: no memory kill during a quiet attempt, and what is free', async (t) => {
    const { worker, attemptDir } = await launch(t, ['true']);
    await worker.ended;
    const { oomKills, freeBytes } = await worker.hostFacts();
    assert.ok(oomKills === undefined || oomKills === 0);
    assert.ok((freeBytes?.[attemptDir] ?? 0) > 0);
  });

  test('the stacks name every thread of the worker and of its children', async (t) => {
    const script = `import threading, time, subprocess
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
subprocess.Popen(['sleep', '61']); print('on'); time.sleep(60)`;
    const { worker, said, attemptDir } = await launch(t, ['python3', '-c', script]);
    await said(/on/);
    await worker.dumpStacks();
    const text = readFileSync(path.join(attemptDir, 'stacks.txt'), 'utf8');
    assert.match(text, /thread \d+, \d+ python|(thread \d+ python[^]*){2}/);
    assert.match(text, /sleep 61/);
    assert.match(text, /S \(sleeping\), in the system call \S+, wchan \S+/);
  });

  // the shell that the engine starts gets the attempt's folder as its fourth argument
  for (const [what, does, code] of [
    ['has won the launch', 'rmdir "$4/go"; ', 'EIO'],
    ['has done nothing yet', '', 'ETIMEDOUT'],
  ] as const) {
    test(`a shim that ${what} and hangs is ended before anything else may start`, async (t) => {
      const dir = tempDir(t);
      const shell = path.join(dir, 'shell');
      const script = `#!/bin/sh\n${does}echo $$ >${dir}/pid\nexec sleep 60\n`;
      writeFileSync(shell, script, { mode: 0o755 });
      const { worker, attemptDir } = await launch(t, ['true'], { engine: { shell, namingMs: 5000 } });
      const exit = await worker.ended;
      assert.equal(exit.type === 'not-started' && exit.code, code);
      const pid = Number(readFileSync(path.join(dir, 'pid'), 'utf8'));
      await until('its end', () => !lives(pid));
      assert.ok(!existsSync(path.join(attemptDir, 'go')));
    });
  }
});
