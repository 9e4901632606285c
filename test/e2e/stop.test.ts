import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { eventually } from '../support/eventually.js';
import { processAlive } from '../support/process-alive.js';
import { PuppetStage, type Puppet } from '../support/puppet.js';
import { root } from '../support/root.js';
import { runCli, runProgram, type Running } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { digestOf } from '../support/digits.js';
import { checkpointsIn, digits, guard, quickly, statusOf, summaryOf } from './kit.js';

const trainguard = [process.execPath, path.join(root, 'bin', 'trainguard.js')] as const;
const LENGTH = ['--steps', '40', '--save-every', '10'] as const;

/** A run whose worker is a puppet, at work. */
async function onStage(
  t: TestContext,
  flags: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<{
  readonly run: Running;
  readonly worker: Puppet;
  readonly cwd: string;
  readonly stage: PuppetStage;
}> {
  const stage = await PuppetStage.create(t);
  const cwd = tempDir(t);
  const run = guard(t, stage.command, { cwd, env, flags: ['--name', 'play', ...flags] });
  const worker = await stage.next();
  await run.untilStdout(/"type":"launched"/);
  return { run, worker, cwd, stage };
}

describe('stopping a run', { concurrency: 3 }, () => {
  for (const [signal, forwarded, status] of [
    ['SIGINT', 'SIGINT', 130],
    ['SIGTERM', 'SIGTERM', 143],
  ] as const) {
    test(`${signal} is passed on, waits for the worker, and ends with ${status}`, async (t) => {
      const { run, worker, cwd } = await onStage(t);
      await worker.trap(forwarded);
      run.kill(signal);
      await worker.signal(forwarded);
      await worker.exit(0);
      const ended = await run.done;
      assert.equal(ended.code, status, ended.stderr);
      assert.equal(summaryOf(ended).outcome, 'stopped');
      const { state, totalFailures } = await statusOf(t, cwd, 'play');
      assert.deepEqual([state, totalFailures], ['stopped', 0]);
    });
  }

  test('the second signal kills at once, grandchildren too', async (t) => {
    const { run, worker } = await onStage(t, ['--stop-grace', '10m']);
    const child = await worker.spawn({ ownSession: true, scrubEnv: true });
    await worker.trap('SIGTERM');
    await child.trap('SIGTERM');
    run.kill('SIGTERM');
    await worker.signal('SIGTERM');
    assert.deepEqual(child.signals, [], 'the stop signal goes to the main process alone');
    run.kill('SIGTERM');
    assert.equal((await run.done).code, 143);
    assert.ok(!worker.alive && !child.alive);
  });

  test('what outlives --stop-grace is killed', async (t) => {
    const { run, worker } = await onStage(t, ['--stop-grace', '3s']);
    await worker.trap('SIGTERM');
    run.kill('SIGTERM');
    assert.equal((await run.done).code, 143);
    await worker.signal('SIGTERM');
    assert.ok(!worker.alive);
  });

  test('trainguard stop asks, waits until it is stopped, and then has nothing to do', async (t) => {
    const { run, worker, cwd } = await onStage(t);
    await worker.trap('SIGTERM');
    const dry = await runCli(t, ['stop', 'play', '--dry-run'], { cwd }).done;
    assert.match(dry.stdout, new RegExp(`^would stop run play \\(supervisor ${run.pid}\\)\n$`));
    const stop = runCli(t, ['stop', 'play'], { cwd });
    await worker.signal('SIGTERM');
    assert.equal(stop.stdout, '', 'it waits for the end');
    await worker.exit(1);
    assert.deepEqual(await stop.done, { code: 0, signal: null, stdout: 'run play is stopped\n', stderr: '' });
    assert.equal((await run.done).code, 143);
    const again = await runCli(t, ['stop', '--json'], { cwd }).done;
    assert.equal(again.code, 0);
    assert.equal((JSON.parse(again.stdout) as { stopped: boolean }).stopped, false);
  });

  test('trainguard stop --after-checkpoint lets the next one become complete first, so nothing is lost', async (t) => {
    const cwd = tempDir(t);
    const length = ['--steps', '300', '--save-every', '20'] as const;
    const run = guard(t, digits(...length, '--step-time', '0.1'), { cwd });
    await run.untilStderr(/^heartbeat step=3 /m);
    const stopped = await runCli(t, ['stop', '--after-checkpoint'], { cwd }).done;
    assert.match(stopped.stdout, /^asked run digits to stop once .*\nrun digits is stopped\n$/);
    assert.equal((await run.done).code, 143);
    const [first, newest] = [checkpointsIn(cwd)[0], checkpointsIn(cwd).at(-1)];
    assert.equal(first, 'step-000020.npz');
    assert.notEqual(newest, 'step-000300.npz', 'it did not wait for the end');
    const again = await guard(t, digits(...length), { cwd }).done;
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stderr, new RegExp(`^resumed from .*${newest}`, 'm'));
  });

  test('stop --after-checkpoint of a run without a checkpoint folder says so, and stops nothing', async (t) => {
    const cwd = tempDir(t);
    const stage = await PuppetStage.create(t);
    const run = runCli(t, ['run', '--json', '--name', 'play', '--', ...stage.command], { cwd });
    const worker = await stage.next();
    await run.untilStdout(/"type":"launched"/);
    const refused = await runCli(t, ['stop', '--after-checkpoint'], { cwd }).done;
    assert.equal(refused.code, 64);
    assert.match(refused.stderr, /has no checkpoint folder/);
    await worker.exit(0);
    assert.equal((await run.done).code, 0);
  });

  test('while it waits for a retry there is no next attempt', async (t) => {
    const { run, worker, stage } = await onStage(t, ['--backoff-initial', '1h']);
    await worker.exit(3);
    await run.untilStdout(/"state":"backing-off"/);
    run.kill('SIGINT');
    assert.equal((await run.done).code, 130);
    assert.equal(stage.count, 1);
  });

  test('SIGTERM in a Slurm job is a preemption: 75, and the next run goes on, free', async (t) => {
    const { run, worker, cwd, stage } = await onStage(t, ['--max-retries', '0'], { SLURM_JOB_ID: '17' });
    await worker.stdout('heartbeat step=1\n');
    await run.untilStdout(/"type":"progressed"/);
    await worker.trap('SIGUSR1');
    await worker.trap('SIGTERM');
    run.kill('SIGTERM');
    // the kill is near: no time for a warning first
    await worker.signal('SIGTERM');
    assert.deepEqual(worker.signals, []);
    await worker.exit(1);
    const ended = await run.done;
    assert.equal(ended.code, 75, ended.stderr);
    assert.equal((await statusOf(t, cwd, 'play')).state, 'preempted');
    const next = guard(t, stage.command, { cwd, flags: ['--name', 'play', '--max-retries', '0'] });
    const successor = await stage.next();
    assert.equal(successor.hello.env['TRAINGUARD_ATTEMPT'], '1');
    await successor.exit(0);
    const done = await next.done;
    assert.equal(done.code, 0, done.stderr);
    const { retriesUsed, totalFailures } = summaryOf(done).run;
    assert.deepEqual([retriesUsed, totalFailures], [0, 0]);
  });

  test("USR1, Slurm's warning, reaches a worker that catches it; then 75", async (t) => {
    const { run, worker } = await onStage(t);
    await worker.trap('SIGUSR1');
    run.kill('SIGUSR1');
    await worker.signal('SIGUSR1');
    await worker.exit(0);
    const ended = await run.done;
    assert.equal(ended.code, 75, ended.stderr);
  });

  test('a TERM after the warning still stops gracefully', async (t) => {
    const { run, worker } = await onStage(t, [], { SLURM_JOB_ID: '17' });
    await worker.trap('SIGUSR1');
    await worker.trap('SIGTERM');
    run.kill('SIGUSR1');
    await worker.signal('SIGUSR1');
    run.kill('SIGTERM');
    await worker.signal('SIGTERM');
    await worker.exit(1);
    assert.equal((await run.done).code, 75);
  });

  test('exit 0 after a stop request is the end only if the last step was reached', async (t) => {
    const { run, worker } = await onStage(t);
    await worker.stdout('heartbeat step=9 total_steps=9\n');
    await worker.trap('SIGTERM');
    await run.untilStdout(/"type":"progressed"/);
    run.kill('SIGTERM');
    await worker.signal('SIGTERM');
    await worker.exit(0);
    const ended = await run.done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(summaryOf(ended).outcome, 'completed');
  });
});

describe('stop when the supervisor dies', { concurrency: 3 }, () => {
  for (const [what, lose] of [
    ['missing', (file: string) => rmSync(file)],
    ['damaged', (file: string) => writeFileSync(file, '{"schemaVersion": 1, "sta')],
  ] as const) {
    test(`its worker is found and stopped though state.json is ${what}`, async (t) => {
      const { run, worker, cwd } = await onStage(t);
      await worker.trap('SIGTERM');
      run.kill('SIGKILL');
      await run.done;
      lose(path.join(path.dirname(logOf(cwd)), 'state.json'));
      const stop = runCli(t, ['stop', 'play'], { cwd });
      await worker.signal('SIGTERM');
      await worker.exit(0);
      const { code, stdout, stderr } = await stop.done;
      assert.deepEqual([code, stdout], [0, 'run play is stopped\n'], stderr);
    });
  }

  test('whoever waits for the stop of one that died asks the next one', async (t) => {
    const { run, worker, cwd } = await onStage(t);
    await worker.trap('SIGTERM');
    run.kill('SIGSTOP');
    const stop = runCli(t, ['stop', 'play'], { cwd });
    const request = path.join(path.dirname(logOf(cwd)), 'requests', 'stop');
    await eventually(() => existsSync(request), 'the request');
    stop.kill('SIGSTOP');
    run.kill('SIGKILL');
    await run.done;
    const heir = runCli(t, ['resume', 'play', '--json'], { cwd });
    await heir.untilStdout(/"type":"adopted"/);
    assert.ok(!existsSync(request), 'it is forgotten: who resumes wants it to go on');
    stop.kill('SIGCONT');
    await worker.signal('SIGTERM');
    await worker.exit(0);
    assert.equal((await stop.done).stdout, 'run play is stopped\n');
    assert.equal((await heir.done).code, 143);
  });
});

describe('losing the terminal', { concurrency: 3 }, () => {
  test('HUP ends nothing', async (t) => {
    const { run, worker, cwd } = await onStage(t);
    run.kill('SIGHUP');
    await worker.stdout('heartbeat step=1\n');
    await worker.exit(0);
    assert.equal((await run.done).code, 0);
    assert.equal((await statusOf(t, cwd, 'play')).step, 1);
  });

  test('under nohup a HUP takes nothing away: the output goes on', async (t) => {
    const stage = await PuppetStage.create(t);
    const run = runProgram(t, ['nohup', ...trainguard, 'run', ...quickly, '--', ...stage.command]);
    const worker = await stage.next();
    await worker.stdout('before\n');
    await run.untilStdout(/^before$/m);
    run.kill('SIGHUP');
    await worker.stdout('after\n');
    await run.untilStdout(/^after$/m);
    await worker.exit(0);
    assert.equal((await run.done).code, 0);
  });

  test('a reader that has seen enough (| head -1) ends nothing', async (t) => {
    const cwd = tempDir(t);
    const pipe = ['bash', '-c', 'set -o pipefail; "$@" 2>&1 | head -1', 'bash'] as const;
    const { code, stdout } = await runProgram(
      t,
      [...pipe, ...trainguard, 'run', ...quickly, '--', ...digits(...LENGTH, '--step-time', '0.01')],
      { cwd },
    ).done;
    assert.equal(code, 0);
    assert.equal(stdout.split('\n').length, 2);
    assert.equal((await statusOf(t, cwd, 'digits')).state, 'completed');
  });

  test('a stdout that nobody reads does not slow the training', async (t) => {
    const cwd = tempDir(t);
    const child = spawn(
      trainguard[0],
      [trainguard[1], 'run', ...quickly, '--', ...digits(...LENGTH)],
      // 4 MB are more than any pipe holds
      {
        cwd,
        env: { ...process.env, DIGITS_FAULT: 'flood:4000000@step=3' },
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
    t.after(() => child.kill('SIGKILL'));
    await eventually(
      async () => (await statusOf(t, cwd, 'digits')).state === 'completed',
      'the end of the training',
      120_000,
    );
    child.stdout.destroy();
    assert.equal(await exited, 0);
    const log = path.join(cwd, '.trainguard/runs/digits/attempts/000/worker-0.out.log');
    assert.match(digestOf(readFileSync(log, 'utf8')), /^[0-9a-f]+$/);
  });

  test('closing a tmux pane leaves supervisor and training alive', async (t) => {
    const cwd = tempDir(t);
    const tmux = (...args: readonly string[]): Running =>
      runProgram(t, ['tmux', '-L', 'pane', '-f', '/dev/null', ...args], {
        cwd,
        env: { TMUX_TMPDIR: cwd, TMUX: undefined },
      });
    if (!(await isThere(t, 'tmux'))) {
      t.skip('tmux is not installed');
      return;
    }
    const stage = await PuppetStage.create(t);
    const command = [...trainguard, 'run', '--name', 'pane', ...quickly, '--', ...stage.command];
    const opened = await tmux('new-session', '-d', '-s', 's', '-c', cwd, ...command).done;
    assert.equal(opened.code, 0, opened.stderr);
    const worker = await stage.next();
    await worker.stdout('heartbeat step=1\n');
    await eventually(async () => (await statusOf(t, cwd, 'pane')).step === 1, 'its first step');
    const supervisor = supervisorOf(cwd, 'pane');
    assert.equal((await tmux('kill-pane', '-t', 's').done).code, 0);
    await eventually(
      () => /terminal was closed|EIO|gone/i.test(readFileSync(logOf(cwd, 'pane'), 'utf8')),
      'a word about the terminal in supervisor.log',
    );
    assert.ok(processAlive(supervisor) && worker.alive);
    await worker.stdout('heartbeat step=2\n');
    await worker.exit(0);
    await eventually(() => !processAlive(supervisor), 'the end of the supervisor');
    const { state, step, attempt } = await statusOf(t, cwd, 'pane');
    assert.deepEqual([state, step, attempt], ['completed', 2, 0]);
  });
});

const logOf = (cwd: string, run = 'play'): string =>
  path.join(cwd, '.trainguard', 'runs', run, 'supervisor.log');

const supervisorOf = (cwd: string, run: string): number =>
  (
    JSON.parse(readFileSync(path.join(cwd, '.trainguard', 'runs', run, 'state.json'), 'utf8')) as {
      pid: number;
    }
  ).pid;

async function isThere(t: TestContext, program: string): Promise<boolean> {
  return (await runProgram(t, ['sh', '-c', `command -v ${program}`]).done).code === 0;
}
