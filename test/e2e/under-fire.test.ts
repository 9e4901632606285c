import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { atEnd } from '../support/cleanup.js';
import { eventually } from '../support/eventually.js';
import { PuppetStage } from '../support/puppet.js';
import { root } from '../support/root.js';
import { runProgram } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { digestInPeace, digestThrough, digits, guard, kindsOf, ofType, statusOf, summaryOf } from './kit.js';

const bin = path.join(root, 'bin', 'trainguard.js');
const noProc = existsSync('/proc/self/status')
  ? false
  : 'without /proc signals and limits cannot be looked at';

/** A file system of so many bytes at `dir/state`; undefined: we may not mount one. */
function smallDisk(t: TestContext, dir: string, bytes: number): string | undefined {
  const state = path.join(dir, 'state');
  mkdirSync(state);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', state]);
  if (mounted.status !== 0) return undefined;
  atEnd(t, () => {
    execFileSync('umount', ['-l', state]);
  });
  return state;
}

/** Takes all the space there is, also what a file gives back that was being replaced. @returns what gives all back */
async function fill(dir: string): Promise<() => void> {
  const file = path.join(dir, 'ballast');
  await eventually(() => {
    spawnSync('dd', ['if=/dev/zero', `of=${file}`, 'bs=4k', 'oflag=append', 'conv=notrunc']);
    const underWay = readdirSync(dir, { recursive: true, encoding: 'utf8' }).some((name) =>
      name.endsWith('.tmp'),
    );
    return !underWay && statfsSync(dir).bavail === 0;
  }, 'a disk that stays full');
  return () => rmSync(file);
}

/** Takes a folder away in one instant: whoever empties one that is written to may find it not empty at its end. */
function remove(cwd: string, dir: string): void {
  const aside = path.join(cwd, 'aside');
  renameSync(dir, aside);
  rmSync(aside, { recursive: true });
}

/** Processor time a process used so far, in clock ticks. */
const ticksOf = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
};

async function onStage(t: TestContext, flags: readonly string[] = [], cwd = tempDir(t)) {
  const stage = await PuppetStage.create(t);
  const run = guard(t, stage.command, { cwd, flags: ['--name', 'play', ...flags] });
  const worker = await stage.next();
  await run.untilStdout(/"type":"launched"/);
  const dir = path.join(cwd, '.trainguard', 'runs', 'play');
  return { stage, cwd, run, worker, dir };
}

describe('a disk that fills up under the run', { concurrency: 2 }, () => {
  test('training goes on to its end, its status is right, and what could not be written is said', async (t) => {
    const cwd = tempDir(t);
    const state = smallDisk(t, cwd, 2 ** 22);
    if (state === undefined) {
      t.skip('a tmpfs cannot be mounted here');
      return;
    }
    const stage = await PuppetStage.create(t);
    const run = guard(t, stage.command, { cwd, flags: ['--name', 'play', '--state-dir', state] });
    const worker = await stage.next();
    await run.untilStdout(/"type":"launched"/);
    const free = await fill(state);
    await worker.exit(0);
    // its end cannot be written down: that is said, and the disk is given some time
    await run.untilStdout(/no space left/);
    assert.doesNotMatch(run.stdout, /"type":"summary"/);
    free();
    const ended = await run.done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(summaryOf(ended).outcome, 'completed');
    const view = await statusIn(t, cwd, state);
    assert.deepEqual([view.state, view.attempt], ['completed', 0]);
    // and the journal holds all of it: who replays it comes to the same
    rmSync(path.join(state, 'runs', 'play', 'state.json'));
    const again = await guard(t, ['true'], {
      cwd,
      flags: ['--name', 'play', '--state-dir', state],
      json: false,
    }).done;
    assert.match(again.stderr, /the run had completed; it starts anew with attempt 1/);
  });

  test('a retry waits until the disk has room again, then the training ends as if nothing had been', async (t) => {
    const cwd = tempDir(t);
    const state = smallDisk(t, cwd, 2 ** 22);
    if (state === undefined) {
      t.skip('a tmpfs cannot be mounted here');
      return;
    }
    const steps = ['--steps', '30', '--save-every', '10'];
    const wanted = digestInPeace(t, ...steps);
    const run = guard(t, digits(...steps, '--step-time', '0.05'), {
      cwd,
      env: { DIGITS_FAULT: 'crash@step=15' },
      flags: ['--state-dir', state],
    });
    await run.untilStderr(/^heartbeat step=11 /m);
    const free = await fill(state);
    await run.untilStdout(/no space left/);
    free();
    const ended = await run.done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(digestThrough(ended), await wanted);
    assert.equal(summaryOf(ended).outcome, 'completed');
  });
});

test(
  'under a limit of file size the training ends as it would, and what cannot be written is said',
  { skip: noProc },
  async (t) => {
    const cwd = tempDir(t);
    // blocks of 512 bytes in sh: the metrics outgrow it, the log of as many short lines does not
    const program = [
      'for i in $(seq 1 600); do echo "heartbeat step=$i loss=0.5"; done',
      'grep -E "^Sig(Ign|Blk)" /proc/self/status; ulimit -f; exit 7',
    ].join('\n');
    const { code, stdout, stderr } = await runProgram(
      t,
      [
        'sh',
        ...['-c', 'ulimit -f 64; "$@"; exit "$?"', 'sh', process.execPath, bin],
        ...['run', '--name', 'limited', '--max-retries', '0', '--', 'sh', '-c', program],
      ],
      { cwd },
    ).done;
    assert.equal(code, 7, stderr);
    assert.match(stderr, /cannot write .*metrics\.jsonl: EFBIG/);
    assert.match(stdout, /^heartbeat step=600 /m);
    assert.match(stdout, /^64$/m, 'the limit is the user’s');
    const ignored = BigInt(`0x${/SigIgn:\s*(\w+)/.exec(stdout)?.[1] ?? 'f'}`);
    // SIGXFSZ is 25, SIGPIPE 13: node ignores both, the training must not
    assert.equal(ignored & ((1n << 24n) | (1n << 12n)), 0n);
    assert.equal((await statusOf(t, cwd, 'limited')).state, 'failed');
  },
);

describe('folders deleted under the run', { concurrency: 3 }, () => {
  test('the attempt’s: the training goes on and is watched on, its status and its last words are known', async (t) => {
    const { cwd, stage, run, worker, dir } = await onStage(t);
    remove(cwd, path.join(dir, 'attempts', '000'));
    await run.untilStdout(/logs in .*attempts\/000 were deleted under the training/);
    const before = ticksOf(run.pid);
    await worker.stdout('heartbeat step=5\n');
    await run.untilStdout(/"type":"progressed"/);
    await worker.stderr(
      'Traceback (most recent call last):\n  File "t.py", line 1, in <module>\nValueError: bad luck\n',
    );
    assert.ok(ticksOf(run.pid) - before < 200, 'no busy loop');
    await worker.exit(3);
    const second = await stage.next();
    assert.equal(second.hello.env['TRAINGUARD_ATTEMPT'], '1');
    await second.exit(0);
    const ended = await run.done;
    assert.equal(ended.code, 0, ended.stderr);
    const [failure] = summaryOf(ended).run.failures;
    assert.deepEqual([failure?.kind, failure?.exitCode, failure?.step], ['exception', 3, 5]);
    assert.match(failure?.reason ?? '', /bad luck/);
    assert.equal((await statusOf(t, cwd, 'play')).state, 'completed');
  });

  test('the run’s: what trainguard keeps is made again, and the run can be taken up after its end', async (t) => {
    const { cwd, stage, run, worker, dir } = await onStage(t, ['--max-retries', '5']);
    await worker.exit(3);
    const second = await stage.next();
    await run.untilStdout(/"type":"launched".*"attempt":1\}/);
    remove(cwd, dir);
    await run.untilStdout(/runs\/play was deleted under the run/);
    // status needs what is made again at once, not at the next event
    await eventually(() => existsSync(path.join(dir, 'state.json')), 'a new state.json');
    assert.deepEqual(kindsOf(await statusOf(t, cwd, 'play')), ['unknown']);
    await second.exit(4);
    const third = await stage.next();
    assert.equal(third.hello.env['TRAINGUARD_ATTEMPT'], '2');
    await third.exit(0);
    const ended = await run.done;
    assert.equal(ended.code, 0, ended.stderr);
    const { failures } = summaryOf(ended).run;
    assert.deepEqual(
      failures.map(({ exitCode }) => exitCode),
      [3, 4],
    );
    const again = await guard(t, ['true'], { cwd, flags: ['--name', 'play'], json: false }).done;
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stderr, /run play · attempt 3 · /);
  });

  test('the run’s: it is still locked by its supervisor, which status names and stop reaches', async (t) => {
    const { cwd, run, worker, dir } = await onStage(t);
    const launch = readFileSync(path.join(dir, 'launch.json'), 'utf8');
    remove(cwd, dir);
    await run.untilStdout(/runs\/play was deleted under the run: what trainguard keeps there is made anew/);
    assert.equal(readFileSync(path.join(dir, 'launch.json'), 'utf8'), launch);
    await eventually(() => existsSync(path.join(dir, 'state.json')), 'a new state.json');
    assert.equal((await statusOf(t, cwd, 'play')).state, 'running');

    const second = await guard(t, ['true'], { cwd, flags: ['--name', 'play'], json: false }).done;
    assert.equal(second.code, 75, second.stderr);
    assert.ok(second.stderr.includes(`run play is already supervised by pid ${run.pid} `), second.stderr);

    await worker.trap('SIGTERM');
    const stop = runProgram(t, [process.execPath, bin, 'stop', 'play'], { cwd });
    await worker.signal('SIGTERM');
    await worker.exit(0);
    assert.equal((await run.done).code, 143, run.stdout);
    const stopped = await stop.done;
    assert.equal(stopped.code, 0, stopped.stderr);
  });
});

describe('a journal that lost its end', { concurrency: 3 }, () => {
  /** A run that failed twice, with its files. */
  async function failedTwice(t: TestContext) {
    const cwd = tempDir(t);
    const flags = ['--name', 'r', '--max-retries', '1'];
    const { code } = await guard(t, ['sh', '-c', 'exit 3'], { cwd, flags }).done;
    assert.equal(code, 3);
    const dir = path.join(cwd, '.trainguard', 'runs', 'r');
    return { cwd, flags, dir, journal: path.join(dir, 'journal.jsonl') };
  }

  for (const [how, damage] of [
    ['cut at the end of a line', (file: string) => truncateSync(file, readFileSync(file).indexOf(10) + 1)],
    ['deleted', (file: string) => rmSync(file)],
    ['empty', (file: string) => truncateSync(file, 0)],
    [
      'whose last newline is another byte',
      (file: string) => writeFileSync(file, `${readFileSync(file, 'latin1').slice(0, -1)}\v`, 'latin1'),
    ],
  ] as const) {
    test(`${how}: that is said, what is left is kept, and the run goes on where state.json says it stood`, async (t) => {
      const { cwd, flags, dir, journal } = await failedTwice(t);
      damage(journal);
      const left = existsSync(journal) ? readFileSync(journal) : undefined;
      const next = await guard(t, ['true'], { cwd, flags, json: false }).done;
      assert.equal(next.code, 0, next.stderr);
      assert.match(
        next.stderr,
        /journal\.jsonl lost its entries \d+ to \d+.*goes on from what state\.json remembers/,
      );
      assert.match(next.stderr, /run r · attempt 2 · /);
      const aside = readdirSync(dir).filter((name) => /damaged|torn/.test(name));
      if (left && left.length > 0) {
        assert.ok(aside.length > 0);
        const kept = aside.sort().map((name) => readFileSync(path.join(dir, name), 'latin1'));
        assert.equal(kept.join(''), left.toString('latin1'));
      } else assert.deepEqual(aside, []);
      // once, not again and again
      const after = await guard(t, ['true'], { cwd, flags, json: false }).done;
      assert.equal(after.code, 0, after.stderr);
      assert.doesNotMatch(after.stderr, /lost its entries/);
      assert.match(after.stderr, /run r · attempt 3 · /);
    });
  }

  test('damaged in its middle: refused with the way out, which leads on', async (t) => {
    const { cwd, flags, journal } = await failedTwice(t);
    const lines = readFileSync(journal, 'utf8').split('\n');
    lines[1] = 'no journal line';
    writeFileSync(journal, lines.join('\n'));
    const refused = await guard(t, ['true'], { cwd, flags, json: false }).done;
    assert.equal(refused.code, 125);
    assert.match(
      refused.stderr,
      /line 2: .* move it away, and the run goes on from what state\.json remembers/,
    );
    rmSync(journal);
    const next = await guard(t, ['true'], { cwd, flags, json: false }).done;
    assert.equal(next.code, 0, next.stderr);
    assert.match(next.stderr, /run r · attempt 2 · /);
  });
});

describe('time that nobody watched', { skip: noProc, concurrency: 2 }, () => {
  const flags = ['--heartbeat-timeout', '3'];
  const restMs = 7000;

  test('a supervisor that was stopped does not hold the time against its worker', async (t) => {
    const { run, worker } = await onStage(t, flags);
    await worker.stdout('heartbeat step=1\n');
    await run.untilStdout(/"type":"progressed"/);
    run.kill('SIGSTOP');
    await eventually(() => stateOf(run.pid) === 'T', 'the supervisor to be stopped');
    await passed(restMs);
    run.kill('SIGCONT');
    // looked at many times since, it is still not judged; then it beats, and is fine
    const from = ticksOf(run.pid);
    await eventually(() => ticksOf(run.pid) > from + 1, 'the supervisor to be at work again');
    await worker.stdout('heartbeat step=2\n');
    await worker.exit(0);
    const ended = await run.done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(ofType(ended, 'deadline').length, 0);
    assert.equal(summaryOf(ended).run.totalFailures, 0);
  });

  test('nor does one hold it against a worker that was stopped itself; silence after that counts', async (t) => {
    const { run, worker } = await onStage(t, [...flags, '--max-retries', '0', '--stop-grace', '1']);
    await worker.stdout('heartbeat step=1\n');
    await run.untilStdout(/"type":"progressed"/);
    process.kill(worker.pid, 'SIGSTOP');
    await eventually(() => stateOf(worker.pid) === 'T', 'the worker to be stopped');
    await passed(restMs);
    assert.doesNotMatch(run.stdout, /"type":"deadline"/);
    process.kill(worker.pid, 'SIGCONT');
    await run.untilStdout(/"type":"deadline"/);
    const ended = await run.done;
    assert.equal(ended.code, 124, ended.stderr);
    const [deadline] = ofType(ended, 'deadline');
    assert.ok(Number(deadline?.['silentMs']) < restMs, JSON.stringify(deadline));
  });
});

const stateOf = (pid: number): string | undefined =>
  /^State:\s*(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];

/** Time itself is what these tests are about. */
const passed = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function statusIn(
  t: TestContext,
  cwd: string,
  stateDir: string,
): Promise<{ state: string; attempt: number }> {
  const { stdout, stderr } = await runProgram(
    t,
    [process.execPath, bin, 'status', 'play', '--json', '--state-dir', stateDir],
    { cwd },
  ).done;
  const [view] = (JSON.parse(stdout) as { runs: { state: string; attempt: number }[] }).runs;
  assert.ok(view, stderr);
  return view;
}
