import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readlinkSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { eventually } from '../support/eventually.js';
import { processAlive, readStat } from '../support/process-alive.js';
import { PuppetStage, type Puppet } from '../support/puppet.js';
import { root } from '../support/root.js';
import { runCli, runProgram, type Ended, type Running } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { statusOf } from './kit.js';

const trainguard = [process.execPath, path.join(root, 'bin', 'trainguard.js')] as const;
const linux = { skip: process.platform !== 'linux' && 'needs /proc' };

interface Play {
  readonly t: TestContext;
  readonly stage: PuppetStage;
  readonly cwd: string;
}

/** Nothing runs yet. */
async function play(t: TestContext): Promise<Play> {
  return { t, stage: await PuppetStage.create(t), cwd: tempDir(t) };
}

/** `trainguard run` of a puppet named play. */
const runOf = ({ t, stage, cwd }: Play, ...flags: readonly string[]): Running =>
  runCli(t, ['run', '--name', 'play', '--backoff-initial', '0.05', ...flags, '--', ...stage.command], {
    cwd,
  });

/** A run in the background whose worker is at work. */
async function inBackground(
  t: TestContext,
  ...flags: readonly string[]
): Promise<Play & { readonly worker: Puppet; readonly supervisor: number }> {
  const on = await play(t);
  const started = runOf(on, '--detach', '--json', ...flags);
  const worker = await on.stage.next();
  const { code, stdout, stderr } = await started.done;
  assert.equal(code, 0, stderr);
  const { pid } = JSON.parse(stdout) as { pid: number };
  return { ...on, worker, supervisor: pid };
}

const attach = ({ t, cwd }: Play, ...flags: readonly string[]): Running =>
  runCli(t, ['attach', 'play', ...flags], { cwd });

const fileOf = (cwd: string, name: string): string => path.join(cwd, '.trainguard', 'runs', 'play', name);

/** Who wrote the run's state last. */
const writerOf = (cwd: string): number =>
  (JSON.parse(readFileSync(fileOf(cwd, 'state.json'), 'utf8')) as { pid: number }).pid;

/** What a supervisor leaves that is killed after the journal's last entry and before state.json tells of it. */
async function stateIsOld(cwd: string, end: () => Promise<unknown>): Promise<void> {
  const file = fileOf(cwd, 'state.json');
  const old = await eventually(() => {
    const text = readFileSync(file, 'utf8');
    return (JSON.parse(text) as { state: { name: string } }).state.name === 'running' && text;
  }, 'a state that says running');
  await end();
  writeFileSync(file, old);
}

const gone = (pid: number): Promise<true> =>
  eventually(() => !processAlive(pid), `the end of process ${pid}`);

describe('run --detach', { concurrency: 3 }, () => {
  test(
    'the supervisor has a session of its own and no terminal, and says where it went',
    linux,
    async (t) => {
      const on = await play(t);
      const started = runOf(on, '--detach');
      const worker = await on.stage.next();
      const { code, stdout, stderr } = await started.done;
      assert.equal(code, 0, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, /run play · attempt 0 · /);
      const supervisor = Number(/goes on in the background: supervisor (\d+)/.exec(stderr)?.[1]);
      assert.match(stderr, /trainguard attach play$/m);
      assert.match(stderr, /trainguard stop play$/m);
      assert.equal(readStat(supervisor)?.session, supervisor);
      for (const fd of [0, 1, 2]) assert.equal(readlinkSync(`/proc/${supervisor}/fd/${fd}`), '/dev/null');
      assert.equal(readStat(worker.pid)?.session === supervisor, false);
      await worker.exit(0);
      await gone(supervisor);
      assert.equal((await statusOf(t, on.cwd, 'play')).state, 'completed');
      assert.match(readFileSync(fileOf(on.cwd, 'supervisor.log'), 'utf8'), /"message":"completed in /);
    },
  );

  test('it is refused in the same words, with the same exit status', async (t) => {
    const { cwd, supervisor } = await inBackground(t);
    writeFileSync(path.join(cwd, 'bad.json'), '{"maxRetris": 3}');
    const tries: readonly [number, ...string[]][] = [
      [75, '--name', 'play', '--', 'true'],
      [127, '--name', 'other', '--', 'no-such-command'],
      [78, '--config', 'bad.json', '--', 'true'],
      [64, '--layout', 'nonsense', '--', 'true'],
      [64, '--name', '../up', '--', 'true'],
    ];
    for (const [status, ...words] of tries) {
      const plain = await runCli(t, ['run', ...words], { cwd }).done;
      const detached = await runCli(t, ['run', '--detach', ...words], { cwd }).done;
      assert.deepEqual([plain.code, detached.code], [status, status], detached.stderr);
      assert.equal(detached.stderr, plain.stderr);
      const json = await runCli(t, ['run', '--detach', '--json', ...words], { cwd }).done;
      const { message, exit } = JSON.parse(json.stdout) as { message: string; exit: number };
      assert.deepEqual([`trainguard: ${message}\n`, exit], [plain.stderr, status]);
    }
    assert.ok(processAlive(supervisor));
  });

  test('a training that cannot be kept alive is told of like in the foreground', async (t) => {
    const cwd = tempDir(t);
    const flags = ['--detach', '--max-retries', '0', '--name', 'play'];
    const started = await runCli(t, ['run', ...flags, '--', 'sh', '-c', 'exit 7'], { cwd }).done;
    // it may have been under way before it failed
    await eventually(async () => (await statusOf(t, cwd, 'play')).state === 'failed', 'its end');
    assert.ok([0, 7].includes(started.code ?? -1), started.stderr);
    const { code, stderr } = await runCli(t, ['attach', 'play'], { cwd }).done;
    assert.equal(code, 7);
    assert.match(stderr, /gave up after .*[^]*trainguard resume play goes on with it/);
  });

  test('whoever started it may be killed meanwhile', linux, async (t) => {
    const on = await play(t);
    const started = runOf(on, '--detach');
    const children = `/proc/${started.pid}/task/${started.pid}/children`;
    const childOf = (): RegExpExecArray | null => /\d+/.exec(readFileSync(children, 'utf8'));
    const [child = ''] = await eventually(childOf, 'its child');
    started.kill('SIGKILL');
    assert.equal((await started.done).signal, 'SIGKILL');
    const worker = await on.stage.next();
    await worker.stdout('heartbeat step=1\n');
    await worker.exit(0);
    await gone(Number(child));
    const { state, step } = await statusOf(t, on.cwd, 'play');
    assert.deepEqual([state, step], ['completed', 1]);
  });

  test('--dry-run starts nothing', async (t) => {
    const on = await play(t);
    const { code, stderr } = await runOf(on, '--detach', '--dry-run').done;
    assert.equal(code, 0);
    assert.match(stderr, /would run play/);
    assert.equal(on.stage.count, 0);
  });

  test('the terminal it came from may close', async (t) => {
    const on = await play(t);
    const tmux = (...args: readonly string[]): Running =>
      runProgram(t, ['tmux', '-L', 'detach', '-f', '/dev/null', ...args], {
        cwd: on.cwd,
        env: { TMUX_TMPDIR: on.cwd, TMUX: undefined },
      });
    if (!(await isThere(t, 'tmux'))) {
      t.skip('tmux is not installed');
      return;
    }
    // the shell stays after it, as a person's would
    const shell = ['sh', '-c', '"$@"; echo $? > status; exec sleep 600', 'sh'];
    const command = [...trainguard, 'run', '--detach', '--name', 'play', '--', ...on.stage.command];
    const opened = await tmux('new-session', '-d', '-s', 's', '-c', on.cwd, ...shell, ...command).done;
    assert.equal(opened.code, 0, opened.stderr);
    const worker = await on.stage.next();
    const status = path.join(on.cwd, 'status');
    await eventually(() => readFileSync(status, 'utf8') === '0\n', 'the end of run --detach');
    assert.equal((await tmux('kill-server').done).code, 0);
    const supervisor = writerOf(on.cwd);
    await worker.stdout('heartbeat step=1\n');
    await eventually(async () => (await statusOf(t, on.cwd, 'play')).step === 1, 'its step');
    assert.ok(processAlive(supervisor) && worker.alive);
    await worker.exit(0);
    await gone(supervisor);
    assert.equal((await statusOf(t, on.cwd, 'play')).state, 'completed');
  });
});

describe('attach', { concurrency: 3 }, () => {
  test('shows the attempts around a crash, and ends with the run, as often as it is called', async (t) => {
    const on = await inBackground(t);
    await on.worker.stdout('one\n');
    const first = attach(on);
    await first.untilStdout(/^one$/m);
    await on.worker.stdout('two\n');
    await first.untilStdout(/^two$/m);
    await on.worker.exit(3);
    const next = await on.stage.next();
    await next.stdout('three\n');
    await next.stderr('aside\n');
    const second = attach(on);
    await second.untilStdout(/^three$/m);
    await next.exit(0);
    const ends = await Promise.all([first.done, second.done]);
    assert.deepEqual(
      ends.map(({ code, stdout }) => [code, stdout]),
      [
        [0, 'one\ntwo\nthree\n'],
        [0, 'three\n'],
      ],
    );
    for (const { stderr } of ends) {
      assert.match(stderr, /^aside$/m);
      assert.equal(stderr.match(/completed through 1 failure/g)?.length, 1, stderr);
    }
    assert.match(ends[0].stderr, /attempt 0 failed after [^]*run play · attempt 1 · /);
  });

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    test(`${signal} detaches: nothing reaches the training or its supervisor`, async (t) => {
      const on = await inBackground(t);
      await on.worker.trap('SIGINT');
      await on.worker.trap('SIGTERM');
      await on.worker.stdout('one\n');
      const watching = attach(on);
      await watching.untilStdout(/^one$/m);
      watching.kill(signal);
      const { code, stderr } = await watching.done;
      assert.equal(code, 0);
      assert.match(stderr, /detached; run play goes on \(trainguard attach play comes back\)\n$/);
      await on.worker.stdout('heartbeat step=2\n');
      await eventually(async () => (await statusOf(t, on.cwd, 'play')).step === 2, 'its step');
      assert.deepEqual([writerOf(on.cwd), on.worker.signals], [on.supervisor, []]);
      assert.ok(processAlive(on.supervisor) && on.worker.alive);
    });
  }

  test('so does a reader that has seen enough', async (t) => {
    const on = await inBackground(t);
    await on.worker.stdout('one\ntwo\nthree\n');
    const pipe = ['bash', '-c', 'set -o pipefail; "$@" | head -1', 'bash'] as const;
    const watching = runProgram(t, [...pipe, ...trainguard, 'attach'], { cwd: on.cwd });
    await watching.untilStdout(/^one$/m);
    await on.worker.stdout('four\n');
    const { code, stdout, stderr } = await watching.done;
    assert.deepEqual([code, stdout], [0, 'one\n'], stderr);
    assert.ok(processAlive(on.supervisor) && on.worker.alive);
  });

  test('a run without a supervisor is given one, which adopts the worker', async (t) => {
    const on = await inBackground(t);
    await on.worker.stdout('one\n');
    process.kill(on.supervisor, 'SIGKILL');
    await gone(on.supervisor);
    const watching = attach(on);
    const [, heir] = await watching.untilStderr(/attached to run play \(supervisor (\d+)\)/);
    assert.notEqual(Number(heir), on.supervisor);
    await on.worker.stdout('two\n');
    await watching.untilStdout(/^one\ntwo$/m);
    // and once more while it is watched
    process.kill(Number(heir), 'SIGKILL');
    await watching.untilStderr(/has no supervisor any more; starting one[^]*attached to run play/);
    await on.worker.stdout('three\n');
    await on.worker.exit(0);
    const { code, stdout, stderr } = await watching.done;
    assert.deepEqual([code, stdout], [0, 'one\ntwo\nthree\n'], stderr);
    assert.equal(on.stage.count, 1);
    const { attempt, totalFailures } = await statusOf(t, on.cwd, 'play');
    assert.deepEqual([attempt, totalFailures], [0, 0]);
  });

  test("it ends with the run's exit status; --json ends with the summary", async (t) => {
    const on = await inBackground(t, '--max-retries', '0');
    const watching = attach(on, '--json');
    await watching.untilStdout(/"type":"attached"/);
    await on.worker.stdout('from the training\n');
    await on.worker.exit(9);
    const { code, stdout, stderr } = await watching.done;
    assert.equal(code, 9, stderr);
    const said = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; exitCode?: number });
    assert.equal(said[0]?.type, 'attached');
    assert.deepEqual([said.at(-1)?.type, said.at(-1)?.exitCode], ['summary', 9]);
    assert.match(stderr, /^from the training$/m);
  });

  test('a supervisor on another host is named and its files are followed; its run is not taken away', async (t) => {
    const on = await inBackground(t);
    await on.worker.stdout('one\n');
    process.kill(on.supervisor, 'SIGKILL');
    await gone(on.supervisor);
    const file = fileOf(on.cwd, 'state.json');
    const state = JSON.parse(readFileSync(file, 'utf8')) as object;
    writeFileSync(file, JSON.stringify({ ...state, host: 'far-away', bootId: 'another' }));
    const watching = attach(on);
    await watching.untilStderr(
      /attached to run play \(supervisor \d+ on host far-away; its files are followed/,
    );
    await on.worker.stdout('two\n');
    await watching.untilStdout(/^one\ntwo$/m);
    watching.kill('SIGINT');
    assert.equal((await watching.done).code, 0);
    const longAgo = Date.now() / 1000 - 600;
    utimesSync(file, longAgo, longAgo);
    const { code, stderr } = await attach(on).done;
    assert.equal(code, 75);
    assert.match(stderr, /on host far-away\) is not heard of any more; .*trainguard resume play"\n$/);
    assert.ok(on.worker.alive);
  });

  test('a run that had ended before its state said so is not trained again', async (t) => {
    const on = await inBackground(t);
    await stateIsOld(on.cwd, () => runCli(t, ['stop'], { cwd: on.cwd }).done);
    const { code, stderr } = await attach(on).done;
    assert.equal(code, 143, stderr);
    assert.equal((await statusOf(t, on.cwd, 'play')).state, 'stopped');
    assert.equal(on.stage.count, 1);
  });

  test('an unknown run is 4', async (t) => {
    const { code, stderr } = await runCli(t, ['attach', 'nobody'], { cwd: tempDir(t) }).done;
    assert.equal(code, 4);
    assert.match(stderr, /^trainguard: no run nobody in /);
  });
});

describe('resume', { concurrency: 3 }, () => {
  const facts = 'pwd; umask; ulimit -S -n; ulimit -S -f; echo "$LAUNCHED_WITH"; echo "$RESUMED_WITH"';

  /** A run of `facts` that has completed, launched under peculiar circumstances. */
  async function peculiar(t: TestContext): Promise<{ readonly cwd: string; readonly said: string }> {
    const cwd = tempDir(t);
    const script = 'umask 027; ulimit -S -n 777; ulimit -S -f 4000000; "$@"; exit "$?"';
    const command = [...trainguard, 'run', '--name', 'play', '--', 'sh', '-c', facts] as const;
    const { code, stdout, stderr } = await runProgram(t, ['sh', '-c', script, 'sh', ...command], {
      cwd,
      env: { LAUNCHED_WITH: "a 'b'\n$c" },
    }).done;
    assert.equal(code, 0, stderr);
    assert.equal(stdout, `${cwd}\n0027\n777\n4000000\na 'b'\n$c\n\n`);
    return { cwd, said: stdout };
  }

  const elsewhere = (t: TestContext, words: readonly string[]): Promise<Ended> =>
    runProgram(
      t,
      ['sh', '-c', 'umask 077; ulimit -S -n 555; "$@"; exit "$?"', 'sh', ...trainguard, ...words],
      {
        env: { LAUNCHED_WITH: 'another', RESUMED_WITH: 'this' },
      },
    ).done;

  test('the training is launched as it was then, from anywhere', linux, async (t) => {
    const { cwd, said } = await peculiar(t);
    const words = ['resume', 'play', '--state-dir', path.join(cwd, '.trainguard')];
    const again = await elsewhere(t, words);
    assert.deepEqual([again.code, again.stdout], [0, said], again.stderr);
    assert.match(again.stderr, /the run had completed; it starts anew with attempt 1/);
    assert.doesNotMatch(again.stderr, /another command/);
    // what was recorded is not worn out by it
    const third = await elsewhere(t, [...words, '--max-retries', '7']);
    assert.deepEqual([third.code, third.stdout], [0, said], third.stderr);
    const detached = await elsewhere(t, [...words, '--detach']);
    assert.equal(detached.code, 0, detached.stderr);
    await eventually(
      () => readFileSync(fileOf(cwd, 'attempts/003/worker-0.out.log'), 'utf8') === said,
      'its output',
    );
    assert.equal((await statusOf(t, cwd, 'play')).maxRetries, 7);
  });

  test('flags of the launch hold, flags given now override them, for good', async (t) => {
    const on = await play(t);
    writeFileSync(path.join(on.cwd, 'c.json'), '{"maxTotalRetries": 5}');
    const run = runOf(on, '--max-retries', '5', '--stop-grace', '45s', '--config', 'c.json', '--no-rollback');
    await (await on.stage.next()).exit(0);
    await run.done;
    const stateDir = path.join(on.cwd, '.trainguard');
    const flags = (): unknown =>
      (JSON.parse(readFileSync(fileOf(on.cwd, 'launch.json'), 'utf8')) as { flags: unknown }).flags;
    const recorded = {
      ...{ config: path.join(on.cwd, 'c.json'), maxRetries: 5 },
      ...{ backoffInitial: 50, stopGrace: 45_000, rollback: false },
    };
    assert.deepEqual(flags(), recorded);
    const away = tempDir(t);
    const words = ['resume', 'play', '--state-dir', stateDir, '--max-retries', '8', '--checkpoint-dir', 'ck'];
    const resumed = runCli(t, words, { cwd: away });
    const worker = await on.stage.next();
    assert.equal(worker.hello.env['TRAINGUARD_CHECKPOINT_DIR'], path.join(away, 'ck'));
    await worker.exit(0);
    assert.equal((await resumed.done).code, 0);
    assert.equal((await statusOf(t, on.cwd, 'play')).maxRetries, 8);
    assert.deepEqual(flags(), { ...recorded, maxRetries: 8, checkpointDir: [path.join(away, 'ck')] });
  });

  test('a run whose supervisor was killed goes on with its worker; a live one is named', async (t) => {
    const on = await inBackground(t);
    const resume = (): Running => runCli(t, ['resume'], { cwd: on.cwd });
    const busy = await resume().done;
    assert.equal(busy.code, 75);
    assert.match(busy.stderr, new RegExp(`run play is already supervised by pid ${on.supervisor} on host`));
    process.kill(on.supervisor, 'SIGKILL');
    await gone(on.supervisor);
    const heir = resume();
    await heir.untilStderr(new RegExp(`attempt 0 goes on · pid ${on.worker.pid}`));
    await on.worker.exit(0);
    assert.equal((await heir.done).code, 0);
    assert.equal(on.stage.count, 1);
  });

  test('a stopped run goes on, a failed one starts anew', async (t) => {
    const on = await inBackground(t, '--max-retries', '0');
    assert.equal((await runCli(t, ['stop'], { cwd: on.cwd }).done).code, 0);
    const second = runCli(t, ['resume'], { cwd: on.cwd });
    await (await on.stage.next()).exit(5);
    const failed = await second.done;
    assert.equal(failed.code, 5, failed.stderr);
    assert.match(failed.stderr, /the run was stopped; it starts anew with attempt 1/);
    const third = runCli(t, ['resume'], { cwd: on.cwd });
    await (await on.stage.next()).exit(0);
    const done = await third.done;
    assert.equal(done.code, 0, done.stderr);
    assert.match(done.stderr, /the run had failed; it starts anew with attempt 2/);
  });

  test('what is not on record is said, with the way out', async (t) => {
    const { cwd } = await peculiar(t);
    const resume = (): Promise<Ended> => runCli(t, ['resume', 'play'], { cwd }).done;
    const launch = fileOf(cwd, 'launch.json');
    const record = JSON.parse(readFileSync(launch, 'utf8')) as object;
    const cases: readonly [string | undefined, number, RegExp][] = [
      [undefined, 78, /not on record how run play was launched .*trainguard run --name play -- <command>\n$/],
      [
        '{"schemaVersion": 1, "argv":',
        125,
        /launch\.json is damaged: it is no JSON; .*"trainguard run -- …"/,
      ],
      ['{"schemaVersion": 1}', 125, /launch\.json is damaged: it names no command/],
      [
        JSON.stringify({ ...record, cwd: '/no/such/folder' }),
        78,
        /the folder \/no\/such\/folder .*another folder\n$/,
      ],
    ];
    for (const [text, status, said] of cases) {
      if (text === undefined) rmSync(launch);
      else writeFileSync(launch, text);
      const { code, stderr } = await resume();
      assert.equal(code, status, stderr);
      assert.match(stderr, said);
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
      const detached = await runCli(t, ['resume', 'play', '--detach'], { cwd }).done;
      assert.deepEqual([detached.code, detached.stderr], [code, stderr]);
    }
    const bare = await runCli(t, ['resume'], { cwd }).done;
    assert.equal(bare.code, 64, 'what is done is not trained once more unless it is meant');
    assert.match(bare.stderr, /run play, the one last written to, has completed; name the run/);
    const nobody = await runCli(t, ['resume'], { cwd: tempDir(t) }).done;
    assert.equal(nobody.code, 4);
    assert.match(nobody.stderr, /^trainguard: no runs in .*; start one with "trainguard run -- <command>"/);
  });

  test('--unless-done leaves alone what is done, and goes on with what is not', async (t) => {
    const on = await inBackground(t);
    assert.equal((await runCli(t, ['stop'], { cwd: on.cwd }).done).code, 0);
    const again = runCli(t, ['resume', '--unless-done'], { cwd: on.cwd });
    await (await on.stage.next()).exit(0);
    assert.equal((await again.done).code, 0);
    for (const detach of [[], ['--detach']]) {
      const { code, stderr } = await runCli(t, ['resume', '--unless-done', ...detach], { cwd: on.cwd }).done;
      assert.equal(code, 0);
      assert.match(stderr, /run play has completed; leave --unless-done out to train on\n$/);
    }
    assert.equal(on.stage.count, 2);
  });

  test('--unless-done believes the journal, which knows of an end before state.json does', async (t) => {
    const on = await inBackground(t);
    await stateIsOld(on.cwd, async () => {
      await on.worker.exit(0);
      await gone(on.supervisor);
    });
    const { code, stderr } = await runCli(t, ['resume', '--unless-done'], { cwd: on.cwd }).done;
    assert.equal(code, 0);
    assert.match(stderr, /run play has completed; leave --unless-done out to train on\n$/);
    assert.equal((await statusOf(t, on.cwd, 'play')).state, 'completed');
    assert.equal(on.stage.count, 1);
  });

  for (const [then, now, status] of [
    [undefined, '5', 75],
    ['5', undefined, 143],
  ] as const) {
    test(`a TERM is judged by where it is resumed, not launched: job ${then} → ${now}: ${status}`, async (t) => {
      const on = await play(t);
      const words = ['run', '--name', 'play', '--', ...on.stage.command];
      const first = runCli(t, words, { cwd: on.cwd, env: { SLURM_JOB_ID: then } });
      await (await on.stage.next()).exit(0);
      assert.equal((await first.done).code, 0);
      const second = runCli(t, ['resume', 'play', '--json'], { cwd: on.cwd, env: { SLURM_JOB_ID: now } });
      const worker = await on.stage.next();
      await second.untilStdout(/"type":"launched"/);
      await worker.trap('SIGTERM');
      second.kill('SIGTERM');
      await worker.signal('SIGTERM');
      await worker.exit(1);
      assert.equal((await second.done).code, status);
    });
  }
});

describe('run without --name', () => {
  test('another experiment leaves alone a worker whose supervisor was killed', async (t) => {
    const on = await play(t);
    const start = async (
      ...more: readonly string[]
    ): Promise<{ run: string; pid: number; worker: Puppet }> => {
      const command = [...on.stage.command, ...more];
      const started = runCli(t, ['run', '--detach', '--json', '--', ...command], { cwd: on.cwd });
      const worker = await on.stage.next();
      const { stdout, stderr } = await started.done;
      assert.notEqual(stdout, '', stderr);
      return { ...(JSON.parse(stdout) as { run: string; pid: number }), worker };
    };
    const first = await start('--lr', '1');
    process.kill(first.pid, 'SIGKILL');
    await gone(first.pid);
    const second = await start('--lr', '2');
    assert.equal(second.run, `${first.run}-2`);
    assert.ok(first.worker.alive && second.worker.alive);
  });
});

describe('init --systemd', { concurrency: 3 }, () => {
  const peculiarWords = [
    'tr a"i$n.py',
    '100%',
    '$HOME',
    '%h',
    'back\\slash',
    '',
    ';',
    'new\nline',
    "it's",
    '--',
  ];

  test('the words of the unit are those of the command, whatever is in them', async (t) => {
    const cwd = path.join(tempDir(t), 'od d%$x');
    mkdirSync(cwd);
    const unit = await unitOf(t, cwd, '--stop-grace', '90s', '--', 'sh', '-c', 'true', ...peculiarWords);
    assert.deepEqual(wordsOf(unit).slice(2), [
      ...['run', '--name', 'true', '--state-dir', path.join(cwd, '.trainguard'), '--unless-done'],
      ...['--stop-grace=90000ms', '--', 'sh', '-c', 'true', ...peculiarWords],
    ]);
    assert.equal(lineOf(unit, 'WorkingDirectory').replaceAll('%%', '%'), cwd);
    assert.equal(lineOf(unit, 'KillMode'), 'process');
    assert.equal(lineOf(unit, 'OOMPolicy'), 'continue');
    // a supervisor that ended so left the training to the next one
    assert.equal(lineOf(unit, 'RestartForceExitStatus'), '75 125');
    assert.equal(lineOf(unit, 'StartLimitIntervalSec'), '0');
    assert.ok(Number(lineOf(unit, 'TimeoutStopSec')) >= 180);
    assert.match(unit, /^# .*loginctl enable-linger/m);
  });

  test('what the unit says, run as systemd would, goes on with a recorded run', async (t) => {
    const on = await inBackground(t);
    assert.equal((await runCli(t, ['stop'], { cwd: on.cwd }).done).code, 0);
    const away = tempDir(t);
    const unit = await unitOf(t, away, '--state-dir', path.join(on.cwd, '.trainguard'), '--run', 'play');
    assert.equal(lineOf(unit, 'WorkingDirectory'), on.cwd);
    const started = runProgram(t, wordsOf(unit), { cwd: away });
    const worker = await on.stage.next();
    assert.equal(worker.hello.cwd, on.cwd);
    await worker.exit(0);
    assert.equal((await started.done).code, 0);
    const atBoot = await runProgram(t, wordsOf(unit), { cwd: away }).done;
    assert.equal(atBoot.code, 0);
    assert.match(atBoot.stderr, /run play has completed/);
  });

  test('systemd finds nothing wrong with it', async (t) => {
    if (!(await isThere(t, 'systemd-analyze'))) {
      t.skip('systemd-analyze is not installed');
      return;
    }
    const cwd = tempDir(t);
    const unit = await unitOf(t, cwd, '--name', 'a b', '--', 'sh', '-c', 'true', ...peculiarWords);
    const file = path.join(cwd, 'trainguard-a-b.service');
    const verify = async (text: string): Promise<Ended> => {
      writeFileSync(file, text);
      const env = { XDG_RUNTIME_DIR: cwd };
      return await runProgram(t, ['systemd-analyze', '--user', 'verify', file], { cwd, env }).done;
    };
    const wrong = await verify(unit.replace('OOMPolicy=continue', 'OOMPolicy=nonsense'));
    assert.match(wrong.stderr, /nonsense/, 'it does look');
    const { code, stdout, stderr } = await verify(unit);
    assert.deepEqual([code, stdout, stderr], [0, '', '']);
  });

  test('what it cannot write is said', async (t) => {
    const cwd = tempDir(t);
    const cases: readonly [number, readonly string[], RegExp][] = [
      [64, [], /say "trainguard init --systemd"/],
      [64, ['--systemd'], /no command to run/],
      [4, ['--systemd', '--run', 'nobody'], /no run nobody/],
      [64, ['--systemd', '--run', 'a', '--', 'true'], /not both/],
    ];
    for (const [status, words, said] of cases) {
      const { code, stdout, stderr } = await runCli(t, ['init', ...words], { cwd }).done;
      assert.deepEqual([code, stdout], [status, ''], stderr);
      assert.match(stderr, said);
    }
  });
});

async function unitOf(t: TestContext, cwd: string, ...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(t, ['init', '--systemd', ...words], { cwd }).done;
  assert.equal(code, 0, stderr);
  return stdout;
}

const lineOf = (unit: string, key: string): string =>
  new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1] ?? assert.fail(`no ${key} in ${unit}`);

/** ExecStart= taken apart by the rules of systemd.service(5) and systemd.syntax(7), for words in double quotes. */
function wordsOf(unit: string): [string, ...string[]] {
  const line = lineOf(unit, 'ExecStart');
  const words = [...line.matchAll(/"((?:[^"\\]|\\.)*)"(?: |$)/g)];
  assert.equal(words.map(([whole]) => whole).join(''), line, 'nothing stands outside the quotes');
  const [program = '', ...rest] = words.map(([, inner = '']) =>
    inner
      .replaceAll(/\\(x[0-9a-f]{2}|.)/g, (_, escape: string) =>
        escape.startsWith('x') ? String.fromCharCode(parseInt(escape.slice(1), 16)) : escape,
      )
      .replaceAll('%%', '%'),
  );
  return [program, ...rest.map((word) => word.replaceAll('$$', '$'))];
}

async function isThere(t: TestContext, program: string): Promise<boolean> {
  return (await runProgram(t, ['sh', '-c', `command -v ${program}`]).done).code === 0;
}
