import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { digitsScript } from '../support/digits.js';
import { eventually } from '../support/eventually.js';
import { pythonPath } from '../support/python.js';
import type { Ended, Running } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import {
  checkpointsIn,
  digestInPeace,
  digestThrough,
  digits,
  eventsOf,
  guard,
  kindsOf,
  ofType,
  quarantineOf,
  summaryOf,
} from './kit.js';

const LENGTH = ['--steps', '60', '--save-every', '10'] as const;

/** What the run resumed from at each launch: names of checkpoints, undefined for none. */
const resumed = (ended: Ended): readonly (string | undefined)[] =>
  (ended.stderr.match(/^resumed from \S+/gm) ?? []).map((line) => path.basename(line.slice(13)));

/** Lines of a failed load, as PyTorch writes them. */
const misfit = `raise RuntimeError('Error(s) in loading state_dict for Net:\\n\\tsize mismatch for fc.weight: copying a param with shape torch.Size([10, 16]) from checkpoint, the shape in current model is torch.Size([10, 32]).')`;

describe('why it failed decides what is done', { concurrency: 2 }, () => {
  const inPeace = { digest: '' };
  before(async (t) => {
    inPeace.digest = await digestInPeace({ after: () => undefined, ...t }, ...LENGTH);
  });

  test('the same failure at the same step: gives up at the third, the folder as before', async (t) => {
    const cwd = tempDir(t);
    const ended = await guard(t, digits(...LENGTH), {
      cwd,
      env: { DIGITS_FAULT: 'crash@step=45,attempt=*' },
    }).done;
    assert.equal(ended.code, 1, ended.stderr);
    const { run } = summaryOf(ended);
    assert.deepEqual(kindsOf(run), ['exception', 'exception', 'exception']);
    assert.match(run.failures[2]?.action ?? '', /at step 45 3 times: it is deterministic/);
    // the second failure came soon after the resume, so the third attempt began one checkpoint earlier
    assert.deepEqual(resumed(ended), ['step-000040.npz', 'step-000030.npz']);
    const saved = checkpointsIn(cwd).filter((name) => name.endsWith('.npz'));
    assert.deepEqual(saved, ['step-000010.npz', 'step-000020.npz', 'step-000030.npz', 'step-000040.npz']);
  });

  test('a checkpoint that goes NaN after every resume: one further back, and it finishes', async (t) => {
    const cwd = tempDir(t);
    // not so fast that it is at its end before the second NaN is seen
    const ended = await guard(t, digits(...LENGTH, '--step-time', '0.05'), {
      cwd,
      env: { DIGITS_FAULT: 'crash@step=45;nan:40@step=42,attempt=*' },
    }).done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(kindsOf(summaryOf(ended).run), ['exception', 'numeric']);
    assert.deepEqual(resumed(ended), ['step-000040.npz', 'step-000030.npz']);
    assert.equal(digestThrough(ended), inPeace.digest);
    assert.ok('step-000040.npz' in quarantineOf(cwd));
  });

  test('code on a file system that is away is waited for, and costs no retry', async (t) => {
    const cwd = tempDir(t);
    const [nfs, away] = [path.join(cwd, 'nfs'), path.join(cwd, 'away')];
    mkdirSync(nfs);
    writeFileSync(path.join(nfs, 'shared_code.py'), '');
    const training = guard(
      t,
      wrapped(cwd, `sys.path.insert(0, ${JSON.stringify(nfs)})\nimport shared_code`),
      {
        cwd,
        flags: ['--max-retries', '1', '--backoff-max', '0.2'],
        env: { DIGITS_FAULT: 'crash@step=25' },
      },
    );
    await training.untilStderr(/^heartbeat step=1 /m);
    renameSync(nfs, away);
    await eventually(
      () => failures(training).filter((kind) => kind === 'code').length >= 4,
      'four imports that failed',
    );
    renameSync(away, nfs);
    const ended = await training.done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(digestThrough(ended), inPeace.digest);
    assert.match(summaryOf(ended).run.failures[1]?.action ?? '', /free retry: it has worked before/);
  });

  test('a model edit that does not fit the checkpoint: gives up at once and moves nothing', async (t) => {
    const cwd = tempDir(t);
    const script = wrapped(cwd, '');
    const training = guard(t, script, { cwd, env: { DIGITS_FAULT: 'crash@step=45' } });
    await training.untilStderr(/^heartbeat step=1 /m);
    writeFileSync(script[1], `${misfit}\n`);
    const ended = await training.done;
    assert.equal(ended.code, 1, ended.stderr);
    const { run } = summaryOf(ended);
    assert.deepEqual(kindsOf(run), ['exception', 'code']);
    assert.match(
      run.failures[1]?.action ?? '',
      /do not fit together.*the code changed between attempts 0 and 1/,
    );
    assert.match(run.failures[1]?.reason ?? '', /step-000040\.npz was read again, and its bytes are good/);
    assert.equal(ofType(ended, 'rolled-back').length, 0);
    assert.ok(checkpointsIn(cwd).includes('step-000040.npz'));
  });

  test('a loader that stumbles on rot: its bytes are read again, that one goes, training goes on before it', async (t) => {
    const cwd = tempDir(t);
    const training = guard(t, digits(...LENGTH), { cwd, env: { DIGITS_FAULT: 'hang@step=45' } });
    await training.untilStdout(/"type":"checkpoint-verified".*step-000040\.npz/);
    const victim = path.join(cwd, 'ckpts', 'step-000040.npz');
    rot(victim);
    process.kill(Number(/"type":"launched","pid":(\d+)/.exec(training.stdout)?.[1]), 'SIGKILL');
    const ended = await training.done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(digestThrough(ended), inPeace.digest);
    assert.deepEqual(kindsOf(summaryOf(ended).run), ['killed', 'checkpoint']);
    assert.match(summaryOf(ended).run.failures[1]?.reason ?? '', /step-000040\.npz is damaged: /);
    assert.ok('step-000040.npz' in quarantineOf(cwd));
  });

  /** Turns a byte in the middle of a file and leaves its stat as it was: only who reads it can tell. */
  function rot(file: string): void {
    const bytes = readFileSync(file);
    const middle = Math.floor(bytes.length / 2);
    bytes[middle] = (bytes[middle] ?? 0) ^ 0xff;
    const as = `${file}.stat`;
    // to the nanosecond, which Node cannot set
    execFileSync('touch', ['-r', file, as]);
    writeFileSync(file, bytes);
    execFileSync('touch', ['-r', as, file]);
    unlinkSync(as);
  }

  /** The digits, with lines of the test's own before them. */
  function wrapped(cwd: string, lines: string): readonly [string, string, ...string[]] {
    const script = path.join(cwd, 'train.py');
    writeFileSync(script, `import runpy, sys\n${lines}\n`);
    appendFileSync(script, `sys.argv[0] = ${JSON.stringify(digitsScript)}\n`);
    appendFileSync(script, `sys.path.insert(0, ${JSON.stringify(path.dirname(digitsScript))})\n`);
    appendFileSync(script, `runpy.run_path(sys.argv[0], run_name='__main__')\n`);
    return [pythonPath(), script, ...LENGTH];
  }

  /** Kinds of the failures so far. */
  const failures = (training: Running): readonly string[] =>
    eventsOf(training.stdout.slice(0, training.stdout.lastIndexOf('\n') + 1))
      .filter(({ type }) => type === 'exited')
      .map(({ failure }) => (failure as { kind: string }).kind);
});
