import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { mono } from '../../../src/util/os/boot.js';
import { launch, lives, order, tempDir, until } from './support.js';

/** Saves slowly when asked to stop, then ends well. */
const slowSaver = `import signal, sys, time
def save(*_):
    print('saving', flush=True)
    time.sleep(0.5)
    open('saved', 'w').write('whole')
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
print('training', flush=True)
while True: time.sleep(0.1)`;

// they mostly wait, so they wait together
describe('the end of an attempt', { concurrency: 4 }, () => {
  test('SIGTERM reaches Python and its slow save is let finish', async (t) => {
    const { worker, said, cwd } = await launch(t, ['python3', '-c', slowSaver]);
    await said(/training/);
    worker.stop(order(10_000));
    assert.deepEqual(await worker.ended, { type: 'code', code: 0 });
    assert.equal(readFileSync(path.join(cwd, 'saved'), 'utf8'), 'whole');
  });

  test('the same under a wrapper that dies of SIGTERM without passing it on', async (t) => {
    const shell = existsSync('/bin/bash') ? 'bash' : 'sh';
    const { worker, said, cwd } = await launch(t, [
      shell,
      '-c',
      'python3 -c "$1"; echo over',
      'train.sh',
      slowSaver,
    ]);
    await said(/training/);
    worker.stop(order(10_000));
    assert.deepEqual(await worker.ended, { type: 'signal', signal: 'SIGTERM', number: 15 });
    assert.equal(readFileSync(path.join(cwd, 'saved'), 'utf8'), 'whole');
  });

  test('while the main process saves, its children get no signal', async (t) => {
    const script = `trap 'echo saving; sleep 0.3; echo saved; exit 0' TERM
sh -c 'trap "echo child got it" TERM; echo child on; while [ -e on ]; do sleep 0.02; done; echo child done' &
echo on; while :; do sleep 0.02; done`;
    const { worker, said, lines, cwd } = await launch(t, ['sh', '-c', `: >on; ${script}`]);
    await said(/^on/);
    await said(/^child on/);
    worker.stop(order(10_000));
    await said(/^saved/);
    await until('the leftover child is told', () => lines.includes('child got it'));
    assert.ok(lines.indexOf('saved') < lines.indexOf('child got it'));
    writeFileSync(path.join(cwd, 'go-on'), '');
    worker.kill();
    assert.deepEqual(await worker.ended, { type: 'code', code: 0 });
  });

  test('SIGTERM ignored: killed after the grace, and not before', async (t) => {
    const { worker, said } = await launch(t, [
      'sh',
      '-c',
      "trap '' TERM; echo on; while :; do sleep 0.05; done",
    ]);
    await said(/on/);
    const since = mono();
    worker.stop(order(400));
    assert.deepEqual(await worker.ended, { type: 'signal', signal: 'SIGKILL', number: 9 });
    assert.ok(mono() - since >= 400);
  });

  test('a second order only makes it more urgent', async (t) => {
    const { worker, said } = await launch(t, [
      'sh',
      '-c',
      "trap '' TERM; echo on; while :; do sleep 0.05; done",
    ]);
    await said(/on/);
    worker.stop(order(60_000));
    worker.stop(order(100));
    worker.stop(order(60_000));
    assert.equal((await worker.ended).type, 'signal');
  });

  test('a stopped process gets its stop signal', async (t) => {
    const { worker, said } = await launch(t, [
      'sh',
      '-c',
      "trap 'exit 5' TERM; echo on; while :; do sleep 0.05; done",
    ]);
    await said(/on/);
    process.kill(worker.pid, 'SIGSTOP');
    await until('it stands', () => worker.isSuspended());
    worker.stop(order(10_000));
    assert.deepEqual(await worker.ended, { type: 'code', code: 5 });
  });

  const python = (code: string): [string, ...string[]] => ['python3', '-c', code];

  /** Starts a grandchild in a session of its own and prints its pid, then crashes. */
  const leaving = (options: string): [string, ...string[]] =>
    python(`import subprocess, sys
child = subprocess.Popen(['sleep', '60'], start_new_session=True, ${options})
print(child.pid, flush=True)
sys.exit(3)`);

  test('a grandchild in its own session with a scrubbed environment that holds the log is gone at the end', async (t) => {
    const { worker, said } = await launch(t, leaving('env={}'));
    const exit = await worker.ended;
    assert.deepEqual(exit, { type: 'code', code: 3 });
    assert.equal(lives(Number(await said(/^\d+$/))), false);
  });

  test('a grandchild in its own session that has the marker and no log is gone at the end', async (t) => {
    const null3 = 'stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL';
    const { worker, said } = await launch(t, leaving(null3));
    await worker.ended;
    assert.equal(lives(Number(await said(/^\d+$/))), false);
  });

  test('a grandchild of the session with neither marker nor log is gone at the end', async (t) => {
    const { worker, said } = await launch(
      t,
      python(`import os, subprocess, sys
quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={})
child = subprocess.Popen(['sleep', '60'], **quiet)
print(child.pid, flush=True)
sys.exit(3)`),
    );
    await worker.ended;
    assert.equal(lives(Number(await said(/^\d+$/))), false);
  });

  test('one with neither marker nor log, but a descendant when the stop came, is gone at the end', async (t) => {
    const null3 = 'stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={}';
    const script = leaving(null3)[2]!.replace('sys.exit(3)', 'import time; time.sleep(60)');
    const { worker, said } = await launch(t, python(script));
    const pid = Number(await said(/^\d+$/));
    worker.stop(order(5000));
    await worker.ended;
    assert.equal(lives(pid), false);
  });

  test('who only reads the log is not ours', async (t) => {
    const { worker, said, attemptDir } = await launch(t, ['sh', '-c', 'echo on; sleep 60']);
    await said(/on/);
    const reader = spawn('tail', ['-f', path.join(attemptDir, 'worker-0.out.log')], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    t.after(() => reader.kill());
    await new Promise((resolve) => reader.stdout.once('data', resolve));
    worker.kill();
    await worker.ended;
    assert.ok(lives(reader.pid!));
  });

  test('the main process killed: its children get SIGTERM, then SIGKILL after 2 s', async (t) => {
    const script = `sh -c "trap 'echo told' TERM; echo \\$\\$; while :; do sleep 0.05; done" & sleep 60`;
    const { worker, said } = await launch(t, ['sh', '-c', script]);
    const child = Number(await said(/^\d+$/));
    const since = mono();
    process.kill(worker.pid, 'SIGKILL');
    assert.deepEqual(await worker.ended, { type: 'signal', signal: 'SIGKILL', number: 9 });
    const tookMs = mono() - since;
    await said(/^told/);
    assert.equal(lives(child), false);
    // the 2 s, and not the grace of 30
    assert.ok(tookMs >= 2000 && tookMs < 30_000, `${tookMs} ms`);
  });

  test('a plain script that catches no SIGTERM gets it only when its save is over', async (t) => {
    const dir = tempDir(t);
    const { worker, said } = await launch(
      t,
      python(`import time
with open('${dir}/part', 'w') as f:
    print('open', flush=True)
    time.sleep(1)
    f.write('whole')
time.sleep(60)`),
      { engine: { checkpointDirs: [dir] } },
    );
    await said(/open/);
    worker.stop(order(30_000));
    assert.deepEqual(await worker.ended, { type: 'signal', signal: 'SIGTERM', number: 15 });
    assert.equal(readFileSync(path.join(dir, 'part'), 'utf8'), 'whole');
  });

  test('after a crash a checkpoint writer is left alone until it has closed its file', async (t) => {
    const dir = tempDir(t);
    const { worker, said } = await launch(
      t,
      python(`import os, sys, time
part = '${dir}/part'
if os.fork() == 0:
    os.setsid()
    with open(part, 'w') as f:
        print('open', flush=True)
        time.sleep(2.6)
        f.write('whole')
    time.sleep(60)
while not os.path.exists(part): time.sleep(0.01)
sys.exit(1)`),
      { engine: { checkpointDirs: [dir] } },
    );
    await said(/open/);
    assert.deepEqual(await worker.ended, { type: 'code', code: 1 });
    assert.equal(readFileSync(path.join(dir, 'part'), 'utf8'), 'whole');
  });

  test('after success what goes on gets the grace, is named, and finishes', async (t) => {
    const script =
      "(trap 'echo told' TERM; while [ ! -e seen ]; do sleep 0.05; done; echo uploaded) & exit 0";
    const { worker, lines, notices, cwd } = await launch(t, ['sh', '-c', script], {
      engine: { graceMs: 30_000 },
    });
    await until('it is named', () => notices.length > 0);
    writeFileSync(path.join(cwd, 'seen'), '');
    assert.deepEqual(await worker.ended, { type: 'code', code: 0 });
    assert.deepEqual(lines, ['uploaded']);
    assert.equal(notices.length, 1);
    assert.match(notices[0]!, /go(es)? on: \d+ \(.*\) after the command ended; given 30 s to finish/);
  });

  test('after success what never ends is stopped after the grace', async (t) => {
    const { worker, said } = await launch(t, ['sh', '-c', 'sleep 60 & echo $!'], {
      engine: { graceMs: 300 },
    });
    assert.deepEqual(await worker.ended, { type: 'code', code: 0 });
    assert.equal(lives(Number(await said(/^\d+$/))), false);
  });

  test('a process that cannot be killed is named, and waited for', async (t) => {
    const freezer = '/sys/fs/cgroup/freezer';
    if (!existsSync(`${freezer}/tasks`)) {
      t.skip('no cgroup v1 freezer here, which alone makes one');
      return;
    }
    const group = `${freezer}/trainguard-test-${process.pid}`;
    try {
      mkdirSync(group);
    } catch {
      t.skip('the cgroup freezer is not ours to use (needs root)');
      return;
    }
    const thaw = (): void => writeFileSync(`${group}/freezer.state`, 'THAWED');
    const members = (): string[] => readFileSync(`${group}/tasks`, 'utf8').split('\n').filter(Boolean);
    // before the launch, so that it comes first after the test: what is frozen cannot be waited for
    t.after(() => {
      thaw();
      for (const pid of members()) writeFileSync(`${freezer}/tasks`, pid);
      rmdirSync(group);
    });
    let waits = 0;
    const after = (delayMs: number, callback: () => void): (() => void) => {
      waits++;
      const timer = setTimeout(callback, delayMs);
      return () => clearTimeout(timer);
    };
    const clock = { now: () => Date.now(), mono, after };
    const { worker, said, stuck } = await launch(t, ['sh', '-c', 'echo on; sleep 60'], { engine: { clock } });
    await said(/on/);
    writeFileSync(`${group}/tasks`, String(worker.pid));
    writeFileSync(`${group}/freezer.state`, 'FROZEN');
    worker.kill();
    await until('it is told', () => stuck.length > 0);
    assert.equal(stuck[0]?.[0], worker.pid);
    const waited = waits;
    await until('it is struck again', () => waits > waited + 8);
    assert.ok(lives(worker.pid));
    thaw();
    assert.equal((await worker.ended).type, 'signal');
    assert.equal(stuck.length, 1);
    await until('the cgroup is empty', () => members().length === 0);
  });

  test('a stack dump by SIGABRT comes after the grace, without a core', async (t) => {
    const script = `import faulthandler, signal, time, resource
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
faulthandler.enable(); signal.signal(signal.SIGTERM, signal.SIG_IGN)
def stands_here(): print('on', flush=True); time.sleep(60)
stands_here()`;
    const { worker, said, lines, attemptDir, cwd } = await launch(t, python(script));
    await said(/^on/);
    worker.stop(order(200, { dumpStacks: true }));
    assert.deepEqual(await worker.ended, { type: 'signal', signal: 'SIGABRT', number: 6 });
    assert.ok(lines.some((line) => line.includes('in stands_here')));
    assert.ok(existsSync(path.join(attemptDir, 'stacks.txt')));
    assert.ok(!readdirSync(cwd).some((name) => name.startsWith('core')));
  });

  test('preempted: SIGUSR1 to a worker that catches it', async (t) => {
    const script = "trap 'echo warned; exit 9' USR1; echo on; while :; do sleep 0.02; done";
    const { worker, said } = await launch(t, ['sh', '-c', script]);
    await said(/on/);
    worker.stop(order(10_000, { preempted: true }));
    assert.deepEqual(await worker.ended, { type: 'code', code: 9 });
  });

  test('preempted: SIGTERM to a worker that catches only that', async (t) => {
    const script = "trap 'exit 8' TERM; echo on; while :; do sleep 0.02; done";
    const { worker, said } = await launch(t, ['sh', '-c', script]);
    await said(/on/);
    worker.stop(order(10_000, { preempted: true }));
    assert.deepEqual(await worker.ended, { type: 'code', code: 8 });
  });

  test('preempted: a worker that catches neither goes on to its next checkpoint, then is stopped', async (t) => {
    const { worker, said, notices, lines } = await launch(t, [
      'sh',
      '-c',
      'echo on; while :; do echo step; sleep 0.02; done',
    ]);
    await said(/on/);
    worker.stop(order(10_000, { preempted: true }));
    await until('it was decided', () => notices.length > 0);
    const before = lines.length;
    await until('it goes on', () => lines.length > before + 5);
    worker.noteCheckpoint();
    assert.deepEqual(await worker.ended, { type: 'signal', signal: 'SIGTERM', number: 15 });
  });

  test('SIGINT, and a signal its script has a trap for, reach the training under a shell', async (t) => {
    const interruptible = slowSaver.replaceAll('SIGTERM', 'SIGINT');
    const run = async (script: string, code: string, signal: string): Promise<string> => {
      const { worker, said, cwd } = await launch(t, ['sh', '-c', script, 'train.sh', code]);
      await said(/training/);
      worker.stop(order(20_000, { signal }));
      await worker.ended;
      return readFileSync(path.join(cwd, 'saved'), 'utf8');
    };
    const saved = await Promise.all([
      run('python3 -c "$1"; echo over', interruptible, 'SIGINT'),
      run('trap "echo cleaning up" TERM; python3 -c "$1"; echo over', slowSaver, 'SIGTERM'),
    ]);
    assert.deepEqual(saved, ['whole', 'whole']);
  });
});
