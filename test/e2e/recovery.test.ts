import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { runDigits } from '../support/digits.js';
import { fixture } from '../support/root.js';
import type { Ended } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import {
  checkpointsIn,
  digestInPeace,
  digestThrough,
  digits,
  guard,
  kindsOf,
  ofType,
  quarantineOf,
  summaryOf,
  type JsonEvent,
} from './kit.js';

const LENGTH = ['--steps', '40', '--save-every', '10'] as const;

describe('a training that is disturbed', { concurrency: 3 }, () => {
  const inPeace = { digest: '' };
  before(async (t) => {
    // the hook's context has no `after`; nothing of this outlives it
    inPeace.digest = await digestInPeace({ after: () => undefined, ...t }, ...LENGTH);
  });

  const completed = (ended: Ended): void => {
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(digestThrough(ended), inPeace.digest);
  };

  for (const run of [1, 2, 3]) {
    test(`ends with the same weights after a SIGKILL at a random step (${run} of 3)`, async (t) => {
      const victim = 1 + Math.floor(Math.random() * 25);
      const training = guard(t, digits(...LENGTH, '--step-time', '0.15'), { cwd: tempDir(t) });
      await training.untilStderr(new RegExp(`^heartbeat step=${victim} `, 'm'));
      const launched = /"type":"launched","pid":(\d+)/.exec(training.stdout);
      process.kill(Number(launched?.[1]), 'SIGKILL');
      const ended = await training.done;
      t.diagnostic(`killed at step ${victim}`);
      completed(ended);
      assert.deepEqual(kindsOf(summaryOf(ended).run), ['killed']);
    });
  }

  test('goes through a crash, NaN, a full disk and a hang, one after the other', async (t) => {
    const ended = await guard(t, digits(...LENGTH, '--step-time', '0.005'), {
      cwd: tempDir(t),
      flags: ['--heartbeat-timeout', '5', '--startup-timeout', '60'],
      env: {
        DIGITS_FAULT: 'crash@step=13;nan@step=16,attempt=1;enospc@step=20,attempt=2;hang@step=35,attempt=3',
      },
    }).done;
    completed(ended);
    const { run } = summaryOf(ended);
    assert.deepEqual(kindsOf(run), ['exception', 'numeric', 'storage', 'hang']);
    assert.equal(run.lastRecoveryStatus, 'success');
    assert.equal(run.state, 'completed');
  });

  for (const layout of ['file', 'folder']) {
    test(`puts a torn newest checkpoint (${layout}) into quarantine and resumes from the one before`, async (t) => {
      const [cwd, elsewhere] = [tempDir(t), tempDir(t)];
      const fault = layout === 'file' ? 'torn@step=30' : 'torn:complete@step=30';
      const args = [...LENGTH, '--layout', layout];
      // what the training leaves torn is the same every time, so this tells which bytes must not be lost
      await runDigits(t, args, { cwd: elsewhere, env: { DIGITS_FAULT: fault } }).done;
      const ended = await guard(t, digits(...args), { cwd, env: { DIGITS_FAULT: fault } }).done;
      completed(ended);
      const torn = layout === 'file' ? 'step-000030.npz' : 'checkpoint-30';
      const before = layout === 'file' ? 'step-000020.npz' : 'checkpoint-20';
      const kept = quarantineOf(cwd);
      assert.deepEqual(Object.keys(kept), [torn]);
      assert.deepEqual(contentOf(kept[torn] ?? ''), contentOf(path.join(elsewhere, 'ckpts', torn)));
      assert.match(ended.stderr, new RegExp(`^resumed from .*/ckpts/${before} at step 20$`, 'm'));
      const [failure] = summaryOf(ended).run.failures;
      assert.equal(failure?.rolledBackTo, before);
    });
  }

  test('rolls back past a damaged checkpoint before the first attempt too, and says so', async (t) => {
    const cwd = tempDir(t);
    await runDigits(t, ['--steps', '30', '--save-every', '10'], { cwd }).done;
    const newest = path.join(cwd, 'ckpts', 'step-000030.npz');
    truncateSync(newest, statSync(newest).size - 100);
    const torn = readFileSync(newest);
    const ended = await guard(t, digits(...LENGTH), { cwd, json: false }).done;
    completed(ended);
    assert.match(ended.stdout, /^resumed from .*step-000020\.npz at step 20$/m);
    assert.match(ended.stderr, /rolled back to step-000020\.npz .*quarantined: step-000030\.npz/);
    assert.deepEqual(readFileSync(quarantineOf(cwd)['step-000030.npz'] ?? ''), torn);
  });

  test('counts as hanging after --heartbeat-timeout, seen within 3 s; on hangs alone it gives up with 124', async (t) => {
    const ended = await guard(t, digits(...LENGTH), {
      cwd: tempDir(t),
      flags: ['--heartbeat-timeout', '2s', '--startup-timeout', '60', '--max-retries', '1'],
      env: { DIGITS_FAULT: 'hang@step=5,attempt=*' },
    }).done;
    assert.equal(ended.code, 124, ended.stderr);
    const silences = ofType(ended, 'deadline').map(({ silentMs }) => Number(silentMs));
    assert.equal(silences.length, 2);
    // on a busy machine one of them may be judged late
    assert.ok(Math.min(...silences) >= 2000 && Math.min(...silences) <= 3000, silences.join(', '));
  });

  test('has no process of an attempt left when the next one starts', async (t) => {
    const cwd = tempDir(t);
    // sh looks around first: what is neither gone nor a zombie is told
    const lookAround =
      'for pid in $(cat pids); do grep -q "^State:.*[ZX]" /proc/$pid/status || ! test -e /proc/$pid || echo "left: $pid"; done';
    const ended = await guard(
      t,
      ['sh', '-c', `test -e pids && ${lookAround}; exec "$@"`, 'sh', ...digits(...LENGTH)],
      {
        cwd,
        env: {
          DIGITS_FAULT: 'grandchild@step=3;grandchild-marked@step=3;crash@step=12',
          DIGITS_PIDFILE: path.join(cwd, 'pids'),
        },
      },
    ).done;
    completed(ended);
    assert.equal(readFileSync(path.join(cwd, 'pids'), 'utf8').trim().split('\n').length, 2);
    assert.equal(ofType(ended, 'launched').length, 2);
    assert.doesNotMatch(ended.stderr, /left: /);
  });

  for (const wrapper of ['python', 'bash train.sh']) {
    test(`finishes its save when trainguard gets SIGTERM (${wrapper})`, async (t) => {
      const cwd = tempDir(t);
      const command = digits(...LENGTH, '--phases');
      const slowly = [...command, '--save-time', '4'];
      // a second command keeps bash from becoming python
      writeFileSync(path.join(cwd, 'train.sh'), `"$@"\nstatus=$?\nexit $status\n`);
      const wrapped = wrapper === 'python' ? slowly : ['bash', 'train.sh', ...slowly];
      const training = guard(t, wrapped, { cwd, flags: ['--name', 'saves'], json: false });
      await training.untilStdout(/^heartbeat phase=checkpoint$/m);
      training.kill('SIGTERM');
      const stopped = await training.done;
      assert.equal(stopped.code, 143, stopped.stderr);
      assert.match(stopped.stdout, /^saved .*step-000010\.npz$/m);
      assert.deepEqual(checkpointsIn(cwd), ['step-000010.npz']);
      const ended = await guard(t, command, { cwd, flags: ['--name', 'saves'] }).done;
      completed(ended);
      assert.match(ended.stderr, /^resumed from .*step-000010\.npz at step 10$/m);
      assert.deepEqual(quarantines(cwd), []);
    });
  }

  test('is not tried again after a SyntaxError, and the reason is told', async (t) => {
    const cwd = tempDir(t);
    const command = digits()[0] ?? '';
    const ended = await guard(t, [command, fixture('trainers', 'syntax_error.py')], { cwd, json: false })
      .done;
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /attempt 0 failed after [^:]+: code\n.*SyntaxError/);
    assert.match(ended.stderr, /gave up/);
    assert.deepEqual(readdirSync(path.join(cwd, '.trainguard/runs/syntax_error/attempts')), ['000']);
  });

  test('waits longer after each crash, and its own status is the last word', async (t) => {
    const ended = await guard(t, digits('--steps', '40', '--save-every', '1000'), {
      cwd: tempDir(t),
      flags: ['--max-retries', '3', '--backoff-initial', '200ms'],
      env: {
        DIGITS_FAULT: [3, 5, 7, 9].map((step, attempt) => `exit:7@step=${step},attempt=${attempt}`).join(';'),
      },
    }).done;
    assert.equal(ended.code, 7, ended.stderr);
    const begun = ofType(ended, 'inspected').filter(({ state }) => state === 'backing-off');
    const over = ofType(ended, 'backoff-elapsed');
    assert.equal(over.length, 3);
    // a timer may fire a millisecond early; jitter only adds
    gaps(begun, over).forEach((ms, n) => assert.ok(ms >= 200 * 2 ** n - 5, `wait ${n} was ${ms} ms`));
    const { outcome, run } = summaryOf(ended);
    assert.equal(outcome, 'failed');
    assert.deepEqual(
      run.failures.map(({ step, exitCode }) => [step, exitCode]),
      [
        [3, 7],
        [5, 7],
        [7, 7],
        [9, 7],
      ],
    );
  });

  test('gives up as deterministic when the same exception strikes three times at the same step', async (t) => {
    const ended = await guard(t, digits(...LENGTH), {
      cwd: tempDir(t),
      flags: ['--max-retries', '9'],
      env: { DIGITS_FAULT: 'crash@step=7,attempt=*' },
    }).done;
    assert.equal(ended.code, 1, ended.stderr);
    assert.equal(ofType(ended, 'launched').length, 3);
  });

  test('is told where it stands by its environment', async (t) => {
    const cwd = tempDir(t);
    const tell = 'env | grep ^TRAINGUARD_ | grep -v MARK_ | grep -v RUN_ID | sort; exec "$@"';
    const ended = await guard(t, ['sh', '-c', tell, 'sh', ...digits(...LENGTH)], {
      cwd,
      json: false,
      env: { DIGITS_FAULT: 'crash@step=15', TRAINGUARD_STATE_DIR: path.join(cwd, 'state') },
    }).done;
    completed(ended);
    const told = ended.stdout.split('\n').filter((line) => line.startsWith('TRAINGUARD_'));
    assert.deepEqual(told, [
      'TRAINGUARD_ATTEMPT=0',
      `TRAINGUARD_CHECKPOINT_DIR=${cwd}/ckpts`,
      'TRAINGUARD_ATTEMPT=1',
      `TRAINGUARD_CHECKPOINT_DIR=${cwd}/ckpts`,
      'TRAINGUARD_LAST_FAILURE=exception',
      `TRAINGUARD_RESUME_FROM=${cwd}/ckpts/step-000010.npz`,
      'TRAINGUARD_RESUME_STEP=10',
    ]);
  });

  test('gets --resume-args only when there is a checkpoint', async (t) => {
    const ended = await guard(t, digits(...LENGTH, '--resume', 'never'), {
      cwd: tempDir(t),
      flags: ['--resume-args', '--resume-from {path}'],
      env: { DIGITS_FAULT: 'crash@step=15' },
    }).done;
    completed(ended);
    assert.match(ended.stderr, /^resumed from .*step-000010\.npz at step 10$/m);
  });
});

function contentOf(file: string): unknown {
  if (!statSync(file).isDirectory()) return readFileSync(file);
  return readdirSync(file)
    .sort()
    .map((name) => [name, readFileSync(path.join(file, name))]);
}

function quarantines(cwd: string): readonly string[] {
  try {
    return Object.keys(quarantineOf(cwd));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

const gaps = (from: readonly JsonEvent[], to: readonly JsonEvent[]): readonly number[] =>
  from.map((begin, i) => (to[i]?.mono ?? NaN) - begin.mono);
