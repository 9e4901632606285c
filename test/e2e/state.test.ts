import assert from 'node:assert/strict';
import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { eventually } from '../support/eventually.js';
import { PuppetStage } from '../support/puppet.js';
import { runCli, type Ended } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import {
  checkpointsIn,
  digestInPeace,
  digestThrough,
  digits,
  guard,
  kindsOf,
  ofType,
  statusOf,
  summaryOf,
} from './kit.js';

const LENGTH = ['--steps', '40', '--save-every', '10'] as const;

describe('run on a name that exists', { concurrency: 3 }, () => {
  for (const [outcome, first, status, words] of [
    ['completed', [], 0, /the run had completed; it starts anew with attempt 1 and fresh retry budgets/],
    ['failed', ['--max-retries', '0'], 1, /the run had failed; it starts anew with attempt 1/],
    ['stopped', [], 143, /the run was stopped; it starts anew with attempt 1/],
  ] as const) {
    test(`${outcome}: new attempts with the next number and fresh budgets, said aloud`, async (t) => {
      const cwd = tempDir(t);
      // slow where it is to be stopped on its way
      const command = digits(...LENGTH, ...(outcome === 'stopped' ? ['--step-time', '0.1'] : []));
      const env = { DIGITS_FAULT: outcome === 'failed' ? 'crash@step=15' : '' };
      const run = guard(t, command, { cwd, env, flags: ['--name', 'r', ...first] });
      if (outcome === 'stopped') {
        await run.untilStderr(/step-000010/);
        run.kill('SIGTERM');
      }
      const ended = await run.done;
      assert.equal(ended.code, status, ended.stderr);
      assert.equal(summaryOf(ended).outcome, outcome);
      const newest = checkpointsIn(cwd).at(-1);
      assert.equal(newest === 'step-000040.npz', outcome === 'completed');
      const again = await guard(t, command, { cwd, flags: ['--name', 'r'], json: false }).done;
      assert.equal(again.code, 0, again.stderr);
      assert.match(again.stderr, words);
      assert.match(again.stderr, /run r · attempt 1 · /);
      assert.match(again.stdout, new RegExp(`^resumed from .*/${newest} at step`, 'm'));
      const view = await statusOf(t, cwd, 'r');
      assert.deepEqual([view.state, view.attempt, view.retriesUsed], ['completed', 1, 0]);
    });
  }

  test('live: 75 and the pid of its supervisor; its checkpoint folder is not free either', async (t) => {
    const { cwd, stage, run, worker } = await onStage(t);
    const same = await guard(t, stage.command, { cwd, flags: ['--name', 'play'], json: false }).done;
    assert.equal(same.code, 75);
    assert.equal(sentencesOf(same).length, 1, same.stderr);
    assert.match(same.stderr, new RegExp(`play.* pid ${run.pid} `));
    const other = await guard(t, stage.command, { cwd, flags: ['--name', 'other'], json: false }).done;
    assert.equal(other.code, 75);
    assert.equal(sentencesOf(other).length, 1, other.stderr);
    assert.match(other.stderr, new RegExp(`ckpts.*play.*${run.pid}`));
    assert.equal((await runCli(t, ['status', 'other'], { cwd }).done).code, 4, 'nothing is left of it');
    assert.equal(stage.count, 1);
    await worker.exit(0);
    assert.equal((await run.done).code, 0);
  });

  test('without --name: the script’s stem, and -2 while that is active with another command', async (t) => {
    const stage = await PuppetStage.create(t);
    const cwd = tempDir(t);
    const start = (dir: string, ...more: readonly string[]) =>
      runCli(t, ['run', '--json', '--checkpoint-dir', dir, '--', ...stage.command, ...more], { cwd });
    const first = start('a');
    const one = await stage.next();
    await first.untilStdout(/"type":"launched"/);
    const second = start('b', 'another');
    const two = await stage.next();
    await second.untilStdout(/"type":"launched"/);
    const third = await start('c').done;
    assert.equal(third.code, 75, 'the same command is the same run');
    await Promise.all([one.exit(0), two.exit(0)]);
    assert.equal(summaryOf(await first.done).run.run, 'puppet');
    assert.equal(summaryOf(await second.done).run.run, 'puppet-2');
  });

  test('another command than recorded: the difference is shown, and the new one holds', async (t) => {
    const cwd = tempDir(t);
    const flags = ['--name', 'r'];
    assert.equal((await guard(t, ['sh', '-c', 'exit 0', 'one', 'same'], { cwd, flags }).done).code, 0);
    const { code, stderr, stdout } = await guard(t, ['sh', '-c', 'echo "this is $0"', 'two', 'same'], {
      cwd,
      flags,
      json: false,
    }).done;
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^this is two$/m);
    const told = stderr
      .split('\n')
      .filter((line) => /command/.test(line))
      .join('\n');
    assert.match(told, /one/);
    assert.match(told, /two/);
  });
});

describe('after the supervisor was killed', { concurrency: 3 }, () => {
  test('a living worker goes on alone, and is orphaned; a rollback does not pull its folder away', async (t) => {
    const { cwd, run, worker } = await onStage(t);
    run.kill('SIGKILL');
    await run.done;
    await worker.stdout('heartbeat step=2\n');
    assert.equal((await statusOf(t, cwd, 'play')).state, 'orphaned');
    assert.equal((await runCli(t, ['status', '--exit-code'], { cwd }).done).code, 3);
    const rollback = await runCli(t, ['rollback', 'play', '--to', 'latest'], { cwd }).done;
    assert.equal(rollback.code, 75);
    assert.match(rollback.stderr, new RegExp(`pid ${worker.pid}\\b`));
    assert.ok(worker.alive);
  });

  test('a training that completed meanwhile is judged as if seen', async (t) => {
    const cwd = tempDir(t);
    const command = digits(...LENGTH, '--step-time', '0.15');
    const run = guard(t, command, { cwd });
    await run.untilStderr(/^heartbeat step=11 /m);
    run.kill('SIGKILL');
    await run.done;
    await eventually(() => exitOf(cwd, 'digits', '000') === '0', 'the end of the training');
    const ended = await guard(t, command, { cwd }).done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(ofType(ended, 'launched').length, 0, 'nothing is left to train');
    const { outcome, run: view } = summaryOf(ended);
    assert.deepEqual([outcome, view.attempt, view.totalFailures], ['completed', 0, 0]);
  });

  test('a training that crashed meanwhile is judged as if seen, and goes on to the same weights', async (t) => {
    const cwd = tempDir(t);
    const command = digits(...LENGTH, '--step-time', '0.05');
    const wanted = digestInPeace(t, ...LENGTH);
    const run = guard(t, command, { cwd, env: { DIGITS_FAULT: 'crash@step=25' } });
    await run.untilStderr(/^heartbeat step=11 /m);
    run.kill('SIGKILL');
    await run.done;
    await eventually(() => exitOf(cwd, 'digits', '000') === '1', 'the end of the training');
    const ended = await guard(t, command, { cwd }).done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(digestThrough(ended), await wanted);
    const { run: view } = summaryOf(ended);
    assert.deepEqual([view.attempt, kindsOf(view)], [1, ['exception']]);
    assert.match(view.failures[0]?.reason ?? '', /planned crash at step 25/);
  });

  test('with its worker: it was killed, and the next attempt goes on', async (t) => {
    const { cwd, stage, run, worker } = await onStage(t);
    run.kill('SIGKILL');
    await worker.dieBy('SIGKILL');
    await run.done;
    const next = guard(t, stage.command, { cwd, flags: ['--name', 'play'] });
    const successor = await stage.next();
    assert.equal(successor.hello.env['TRAINGUARD_ATTEMPT'], '1');
    await successor.exit(0);
    const view = summaryOf(await next.done).run;
    assert.deepEqual([kindsOf(view), view.retriesUsed], [['killed'], 1]);
  });

  test('its state files lost or torn: what the journal holds is enough', async (t) => {
    const { cwd, stage, run, worker } = await onStage(t);
    await worker.exit(3);
    const second = await stage.next();
    await run.untilStdout(/"type":"launched".*"attempt":1\}/);
    run.kill('SIGKILL');
    await second.dieBy('SIGKILL');
    await run.done;
    const dir = path.join(cwd, '.trainguard', 'runs', 'play');
    rmSync(path.join(dir, 'state.json'));
    const journal = readFileSync(path.join(dir, 'journal.jsonl'));
    truncateSync(path.join(dir, 'journal.jsonl'), journal.length - 20);
    const next = guard(t, stage.command, { cwd, flags: ['--name', 'play', '--max-retries', '9'] });
    const third = await stage.next();
    assert.equal(third.hello.env['TRAINGUARD_ATTEMPT'], '2');
    await third.exit(0);
    const ended = await next.done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal(summaryOf(ended).run.totalFailures, 2);
  });

  test('a damaged journal is told and never overwritten', async (t) => {
    const cwd = tempDir(t);
    const flags = ['--name', 'r'];
    assert.equal((await guard(t, ['true'], { cwd, flags }).done).code, 0);
    const file = path.join(cwd, '.trainguard/runs/r/journal.jsonl');
    const lines = readFileSync(file, 'utf8').split('\n');
    lines[1] = 'no journal line';
    writeFileSync(file, lines.join('\n'));
    const { code, stderr } = await guard(t, ['true'], { cwd, flags, json: false }).done;
    assert.notEqual(code, 0);
    assert.match(stderr, /journal\.jsonl.*line 2/);
    assert.equal(readFileSync(file, 'utf8'), lines.join('\n'));
  });

  test('a damaged state.json is kept and made anew', async (t) => {
    const cwd = tempDir(t);
    const flags = ['--name', 'r'];
    assert.equal((await guard(t, ['true'], { cwd, flags }).done).code, 0);
    writeFileSync(path.join(cwd, '.trainguard/runs/r/state.json'), '{ damaged');
    const status = await runCli(t, ['status', 'r'], { cwd }).done;
    assert.match(status.stderr, /state\.json/);
    const { code, stderr } = await guard(t, ['true'], { cwd, flags, json: false }).done;
    assert.equal(code, 0, stderr);
    const kept = /kept as (\S+)/.exec(stderr)?.[1];
    assert.ok(kept, stderr);
    assert.equal(readFileSync(path.join(cwd, '.trainguard/runs/r', kept), 'utf8'), '{ damaged');
    assert.equal((await statusOf(t, cwd, 'r')).attempt, 1);
  });
});

async function onStage(t: TestContext) {
  const stage = await PuppetStage.create(t);
  const cwd = tempDir(t);
  const run = guard(t, stage.command, { cwd, flags: ['--name', 'play'] });
  const worker = await stage.next();
  await run.untilStdout(/"type":"launched"/);
  return { stage, cwd, run, worker };
}

/** The lines of stderr, none of which may be a stack trace. */
const sentencesOf = ({ stderr }: Ended): readonly string[] =>
  stderr.split('\n').filter((line) => line !== '');

/** What the shim wrote down of how an attempt ended; blank: nothing yet. */
const exitOf = (cwd: string, run: string, attempt: string): string =>
  readFileSync(path.join(cwd, '.trainguard/runs', run, 'attempts', attempt, 'exit'), 'utf8').trim();
