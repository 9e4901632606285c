import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { before, after, describe, test, type TestContext } from 'node:test';
import { runDigits } from '../support/digits.js';
import { eventually } from '../support/eventually.js';
import { PuppetStage } from '../support/puppet.js';
import { root } from '../support/root.js';
import { runCli, runProgram, type CliOptions, type Ended } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { checkpointsIn, digits, eventsOf, guard, quarantineOf, statusOf, treeOf } from './kit.js';

const LENGTH = ['--steps', '40', '--save-every', '10'] as const;

const cli = (t: TestContext, cwd: string, ...args: readonly string[]): Promise<Ended> =>
  runCli(t, args, { cwd }).done;

/**
 * A folder with four checkpoints and a run that completed through one crash. Only to be read, or copied. Its steps take
 * their time: an attempt that is over between two looks at its log has no training time, and the run no goodput.
 */
async function afterACrash(
  t: TestContext,
  options: Partial<CliOptions> = {},
): Promise<{ cwd: string; ended: Ended }> {
  const cwd = tempDir(t);
  const ended = await guard(t, digits(...LENGTH, '--step-time', '0.02'), {
    cwd,
    env: { DIGITS_FAULT: 'crash@step=25' },
    ...options,
  }).done;
  assert.equal(ended.code, 0, ended.stderr);
  return { cwd, ended };
}

describe('run', { concurrency: 3 }, () => {
  test('--json puts one object an event on stdout, the output on stderr, a summary last; status agrees', async (t) => {
    const { cwd, ended } = await afterACrash(t);
    const events = eventsOf(ended.stdout);
    assert.deepEqual(
      events
        .filter(({ type }) => type === 'launched' || type === 'exited' || type === 'summary')
        .map(({ type }) => type),
      ['launched', 'exited', 'launched', 'exited', 'summary'],
    );
    for (const event of events.slice(0, -1)) {
      assert.equal(typeof event.type, 'string');
      assert.equal(new Date(event.at).toISOString(), event.at);
    }
    assert.match(ended.stderr, /^heartbeat step=1 /m);
    assert.doesNotMatch(ended.stderr, /^trainguard/m);

    const status = await cli(t, cwd, 'status', '--json');
    const { schemaVersion, runs } = JSON.parse(status.stdout) as {
      schemaVersion: number;
      runs: Record<string, unknown>[];
    };
    assert.equal(schemaVersion, 1);
    const { active, ...run } = runs[0] ?? {};
    const { active: _then, ...summary } = (events.at(-1) as unknown as { run: Record<string, unknown> }).run;
    assert.equal(active, false);
    assert.deepEqual(run, summary);
    assert.deepEqual(keysOf(run), fields);
    const [failure] = run['failures'] as Record<string, unknown>[];
    assert.deepEqual(keysOf(failure), failureFields);
    const [worker] = run['workers'] as Record<string, unknown>[];
    assert.deepEqual(worker, {
      workerId: '0',
      status: 'recovered',
      lastCheckpoint: path.join(cwd, 'ckpts', 'step-000040.npz'),
      failureCount: 1,
      lastHeartbeat: run['lastHeartbeatAt'],
      currentBatch: 40,
    });
    assert.deepEqual(keysOf(run['goodput']), ['ettr', 'keptSeconds', 'lostSteps', 'wallSeconds']);
    assert.equal((run['goodput'] as { lostSteps: number }).lostSteps, 5);
    const { latest, safe } = run['checkpoint'] as Record<string, { id: string; standing: string } | null>;
    assert.deepEqual([latest?.id, latest?.standing], ['step-000040.npz', 'safe']);
    assert.deepEqual(safe, latest, 'exit 0 proves the last checkpoint');
  });

  test('in words: the output untouched on stdout, what it does on stderr, and a closing summary', async (t) => {
    const { cwd, ended } = await afterACrash(t, { json: false } as Partial<CliOptions>);
    assert.doesNotMatch(ended.stdout, /^trainguard /m);
    assert.match(ended.stdout, /^heartbeat step=1 [^]*\nfinal step=40 .*\n$/);
    const [first = '', second = ''] = ended.stderr.split('\n');
    assert.match(first, /^trainguard ▸ run digits · attempt 0 · .*digits\.py --steps 40/);
    assert.match(second, /checkpoints in ckpts \(/);
    assert.match(ended.stderr, /Traceback \(most recent call last\)/);
    assert.match(ended.stderr, /trainguard ✖ attempt 0 failed.* at step 25: exception/);
    assert.match(
      ended.stderr,
      /trainguard … waiting \d+ms before attempt 1 \(retry 1 of 3\)|waiting \S+ m?s before attempt 1 \(retry 1 of 3\)/,
    );
    const summary = ended.stderr.slice(ended.stderr.indexOf('trainguard ✔'));
    assert.match(
      summary,
      /2 attempts · 5 steps repeated · goodput \d+\.\d %\n +0 {2}exception at step 25.*\n +\.trainguard\/runs\/digits\/incidents\/001\.md\n +logs.*: \.trainguard\/runs\/digits\n$/,
    );
    assert.equal((await cli(t, cwd, 'status')).code, 0);
  });

  test('--quiet says nothing of its own', async (t) => {
    const cwd = tempDir(t);
    const ended = await guard(t, ['sh', '-c', 'echo out; echo err >&2'], {
      cwd,
      json: false,
      flags: ['--quiet'],
    }).done;
    assert.deepEqual(ended, { code: 0, signal: null, stdout: 'out\n', stderr: 'err\n' });
  });

  test('--dry-run says what would be done and writes nothing', async (t) => {
    const cwd = tempDir(t);
    await runDigits(t, ['--steps', '20', '--save-every', '10'], { cwd }).done;
    const before = treeOf(cwd);
    const { code, stdout, stderr } = await guard(t, digits(...LENGTH), {
      cwd,
      json: false,
      flags: ['--dry-run', '--resume-args', '--resume-from {path}'],
    }).done;
    assert.equal(code, 0, stderr);
    assert.match(stdout + stderr, /would run digits/);
    assert.match(stdout + stderr, /would resume from step-000020\.npz/);
    assert.match(stdout + stderr, /--resume-from \S+step-000020\.npz/);
    assert.deepEqual(treeOf(cwd), before);
    const json = await guard(t, digits(...LENGTH), { cwd, flags: ['--dry-run'] }).done;
    assert.equal((JSON.parse(json.stdout) as { run: string }).run, 'digits');
    assert.deepEqual(treeOf(cwd), before);
  });

  test('finds the checkpoint folder in the command’s own flags, and moves there nothing it did not write', async (t) => {
    const cwd = tempDir(t);
    const command = digits(...LENGTH, '--checkpoint-dir', 'mine');
    const run = runCli(t, ['run', '--backoff-initial', '0.05', '--', ...command], {
      cwd,
      env: { DIGITS_FAULT: 'torn@step=15' },
    });
    const { code, stderr } = await run.done;
    assert.equal(code, 0, stderr);
    assert.match(stderr, /checkpoints in mine \(.*--checkpoint-dir/);
    assert.match(stderr, /quarantined: step-000015\.npz/);
  });

  test('flags beat the config file, which beats defaults; its paths are relative to it', async (t) => {
    const cwd = tempDir(t);
    const { writeFileSync, mkdirSync } = await import('node:fs');
    mkdirSync(path.join(cwd, 'sub'));
    writeFileSync(
      path.join(cwd, 'recovery.config.json'),
      JSON.stringify({
        name: 'configured',
        maxRetries: 1,
        checkpoints: { dir: 'saved' },
        backoff: { initial: '50ms' },
      }),
    );
    const failing = ['--', 'sh', '-c', 'exit 9'];
    const byConfig = await runCli(t, ['run', '--json', ...failing], { cwd: path.join(cwd, 'sub') }).done;
    assert.equal(byConfig.code, 9, byConfig.stderr);
    const one = await statusOf(t, cwd, 'configured');
    assert.deepEqual([one.maxRetries, one.totalFailures], [1, 2]);
    assert.ok(treeOf(cwd)['saved'], 'the folder is made, beside the config file');
    const byFlag = await runCli(t, ['run', '--max-retries', '0', '--name', 'flagged', ...failing], { cwd })
      .done;
    assert.equal(byFlag.code, 9);
    assert.deepEqual((await statusOf(t, cwd, 'flagged')).totalFailures, 1);
  });

  test('--help and --version work, and a command’s own --help is its own', async (t) => {
    const cwd = tempDir(t);
    for (const verb of ['run', 'status', 'rollback', 'logs', 'stop']) {
      const { code, stdout } = await cli(t, cwd, verb, '--help');
      assert.equal(code, 0);
      assert.match(stdout, new RegExp(`^Usage: trainguard ${verb} `));
    }
    assert.match((await cli(t, cwd, '--help')).stdout, /rollback[^]*logs[^]*stop/);
    assert.match((await cli(t, cwd, '--version')).stdout, /^\d+\.\d+\.\d+\n$/);
    const own = await guard(t, ['sh', '-c', 'echo "$@"', 'sh', '--help', '--json', '--'], {
      cwd,
      json: false,
    }).done;
    assert.equal(own.stdout, '--help --json --\n');
    assert.deepEqual(
      Object.keys(treeOf(cwd)).filter((name) => name.startsWith('.trainguard/runs/')).length > 0,
      true,
    );
  });
});

describe('status, logs', { concurrency: 3 }, () => {
  const seen = { cwd: '', stateDir: '' };
  const end: (() => Promise<void>)[] = [];
  before(async () => {
    const t = {
      after: (callback: () => Promise<void>) => void end.unshift(callback),
    } as unknown as TestContext;
    seen.cwd = (await afterACrash(t)).cwd;
    seen.stateDir = path.join(seen.cwd, '.trainguard');
  });
  after(async () => {
    for (const step of end) await step();
  });

  /** From a folder of its own: at a test's end whatever works in its folder is killed. */
  const ask = (t: TestContext, ...args: readonly string[]): Promise<Ended> =>
    cli(t, tempDir(t), ...args, '--state-dir', seen.stateDir);

  test('status in words tells state, step, failures and what was done', async (t) => {
    const { code, stdout, stderr } = await ask(t, 'status');
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^digits {2}completed · attempt 1 · step 40 of 40 · loss \d\.\d+\n/);
    assert.match(stdout, /newest checkpoint step-000040\.npz/);
    assert.match(stdout, /0 {2}exception at step 25.*: retry 1 of 3\n.*planned crash at step 25/);
    assert.match(stdout, /goodput \d+\.\d %, 5 steps repeated/);
  });

  test('status answers 0, with --exit-code 3 if none is active, and 4 for an unknown run', async (t) => {
    assert.equal((await ask(t, 'status', 'digits')).code, 0);
    assert.equal((await ask(t, 'status', '--exit-code')).code, 3);
    const unknown = await ask(t, 'status', 'digit');
    assert.equal(unknown.code, 4);
    assert.match(unknown.stderr, /^trainguard: no run digit in .*; did you mean digits\?\n$/);
    const nowhere = tempDir(t);
    assert.deepEqual(await cli(t, nowhere, 'status', '--json'), {
      code: 0,
      signal: null,
      stdout: '{"schemaVersion":1,"runs":[]}\n',
      stderr: '',
    });
    assert.equal((await cli(t, nowhere, 'logs')).code, 4);
    assert.equal((await cli(t, nowhere, 'stop', 'x')).code, 4);
    assert.equal((await cli(t, nowhere, 'rollback', 'x', '--to', 'latest')).code, 4);
    assert.deepEqual(treeOf(nowhere), {});
  });

  test('a reader that has seen enough is no error', async (t) => {
    const bin = path.join(root, 'bin', 'trainguard.js');
    // `true` reads nothing, and has ended long before anything is written
    const pipe = '"$@" | true; exit ${PIPESTATUS[0]}';
    for (const args of [['status', '--state-dir', seen.stateDir], ['--help']]) {
      const { code, stderr } = await runProgram(t, [
        'bash',
        '-c',
        pipe,
        'bash',
        process.execPath,
        bin,
        ...args,
      ]).done;
      assert.deepEqual([code, stderr], [0, '']);
    }
  });

  test('status of an active run: running, its worker’s pid, --exit-code 0', async (t) => {
    const stage = await PuppetStage.create(t);
    const cwd = tempDir(t);
    const run = guard(t, stage.command, { cwd, flags: ['--name', 'play', '--heartbeat-timeout', '1h'] });
    const worker = await stage.next();
    await worker.stdout('heartbeat step=7 loss=0.5 total_steps=9\n');
    await run.untilStdout(/"type":"progressed"/);
    // the state file is written at most once a second
    await eventually(async () => (await statusOf(t, cwd, 'play')).step === 7, 'its step in status');
    const view = await statusOf(t, cwd, 'play');
    assert.deepEqual([view.state, view.pid, view.attempt], ['running', worker.pid, 0]);
    assert.equal((await cli(t, cwd, 'status', '--exit-code')).code, 0);
    await worker.exit(0);
    await run.done;
  });

  test('logs prints the newest attempt, --attempt another one, each stream on its own', async (t) => {
    const newest = await ask(t, 'logs');
    assert.match(newest.stdout, /^resumed from .* at step 20\n[^]*final step=40 /);
    assert.equal(newest.stderr, '');
    const first = await ask(t, 'logs', 'digits', '--attempt', '0');
    const log = (stream: string): string =>
      readFileSync(
        path.join(seen.cwd, `.trainguard/runs/digits/attempts/000/worker-0.${stream}.log`),
        'utf8',
      );
    assert.equal(first.stdout, log('out'));
    assert.equal(first.stderr, log('err'));
    const none = await ask(t, 'logs', '--attempt', '7');
    assert.equal(none.code, 64);
    assert.match(none.stderr, /no logs of attempt 7; there are: 0, 1\n$/);
  });

  test('logs -f goes on through the attempts until the run ends', async (t) => {
    const stage = await PuppetStage.create(t);
    const cwd = tempDir(t);
    const run = guard(t, stage.command, { cwd, flags: ['--name', 'play'] });
    const first = await stage.next();
    await first.stdout('one\n');
    await run.untilStdout(/"type":"launched"/);
    const logs = runCli(t, ['logs', '-f'], { cwd });
    await logs.untilStdout(/^one$/m);
    await first.stdout('two\n');
    await logs.untilStdout(/^two$/m);
    await first.exit(1);
    const second = await stage.next();
    await second.stdout('three\n');
    await logs.untilStdout(/^three$/m);
    await second.exit(0);
    assert.equal((await run.done).code, 0);
    assert.equal((await logs.done).stdout, 'one\ntwo\nthree\n');
  });
});

describe('rollback', { concurrency: 3 }, () => {
  const all = ['step-000010.npz', 'step-000020.npz', 'step-000030.npz', 'step-000040.npz'];

  test('--to moves what is newer into quarantine, byte for byte, and the next run goes on from there', async (t) => {
    const { cwd } = await afterACrash(t);
    const bytes = new Map(all.map((name) => [name, readFileSync(path.join(cwd, 'ckpts', name))]));
    let before = 4;
    for (const [to, kept] of [
      ['latest', 4],
      ['safe', 4],
      ['previous', 3],
      ['step:20', 2],
      ['step-000010.npz', 1],
    ] as const) {
      const untouched = treeOf(cwd);
      const dry = await cli(t, cwd, 'rollback', '--to', to, '--dry-run');
      assert.equal(dry.code, 0, dry.stderr);
      assert.match(dry.stdout, new RegExp(all[kept - 1] ?? '?'));
      assert.deepEqual(treeOf(cwd), untouched, `--to ${to} --dry-run changes nothing`);
      const done = await cli(t, cwd, 'rollback', 'digits', '--to', to, '--json');
      assert.equal(done.code, 0, done.stderr);
      assert.deepEqual(checkpointsIn(cwd), all.slice(0, kept), `--to ${to}`);
      const report = JSON.parse(done.stdout) as {
        target: { id: string };
        moved: { id: string; to: string }[];
      };
      assert.equal(report.target.id, all[kept - 1]);
      assert.deepEqual(report.moved.map(({ id }) => id).sort(), all.slice(kept, before));
      for (const { id, to: file } of report.moved) assert.deepEqual(readFileSync(file), bytes.get(id));
      before = kept;
    }
    assert.deepEqual(Object.keys(quarantineOf(cwd)).sort(), all.slice(1));
    const next = await guard(t, digits(...LENGTH), { cwd }).done;
    assert.match(next.stderr, /^resumed from .*step-000010\.npz at step 10$/m);
  });

  test('refuses while the run is active, unless told to stop it', async (t) => {
    const cwd = tempDir(t);
    const stage = await PuppetStage.create(t);
    await runDigits(t, LENGTH, { cwd }).done;
    const run = guard(t, stage.command, { cwd, flags: ['--name', 'play'] });
    await stage.next();
    await run.untilStdout(/"type":"launched"/);
    const ckpts = treeOf(path.join(cwd, 'ckpts'));
    const refused = await cli(t, cwd, 'rollback', '--to', 'previous');
    assert.equal(refused.code, 75);
    assert.match(
      refused.stderr,
      new RegExp(`^trainguard: run play is active \\(pid ${run.pid} .*; stop it first, or add --stop\n$`),
    );
    assert.deepEqual(treeOf(path.join(cwd, 'ckpts')), ckpts);
    const stopped = await cli(t, cwd, 'rollback', '--to', 'previous', '--stop');
    assert.equal(stopped.code, 0, stopped.stderr);
    assert.equal((await run.done).code, 143);
    assert.deepEqual(checkpointsIn(cwd), all.slice(0, 3));
  });

  test('--to something unknown lists what there is and changes nothing', async (t) => {
    const { cwd } = await afterACrash(t);
    const before = treeOf(path.join(cwd, 'ckpts'));
    for (const to of ['step:17', 'nonsense', 'best', 'step:x', '']) {
      const { code, stderr } = await cli(t, cwd, 'rollback', '--to', to);
      assert.equal(code, 64, `${to}: ${stderr}`);
      assert.match(stderr, to === 'best' ? /best/ : /step-000040\.npz/);
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    }
    assert.deepEqual(treeOf(path.join(cwd, 'ckpts')), before);
  });
});

const keysOf = (value: unknown): readonly string[] => Object.keys(value as object).sort();

/** What `status --json` promises of a run, and two words more: why it warns, and why it ended. */
const fields = [
  ...[
    'run',
    'state',
    'pid',
    'supervisor',
    'engine',
    'command',
    'attempt',
    'retriesUsed',
    'maxRetries',
    'totalFailures',
    'step',
  ],
  ...['totalSteps', 'loss', 'lastHeartbeatAt', 'nextDeadlineAt', 'nextRetryAt', 'waitingFor', 'checkpoint'],
  ...['lastRecoveryStatus', 'failures', 'workers', 'goodput'],
  ...['warning', 'reason', 'incident'],
].sort();

const failureFields = [
  ...['attempt', 'kind', 'step', 'exitCode', 'signal', 'action', 'rolledBackTo', 'at', 'evidence', 'reason'],
].sort();
