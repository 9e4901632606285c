import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { createRun } from '../../src/runs/run-dir.js';
import { acquireLock } from '../../src/util/os/lock.js';
import { runCli, type Ended } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { guard } from './kit.js';

const status = (t: TestContext, cwd: string, ...args: readonly string[]): Promise<Ended> =>
  runCli(t, ['status', ...args], { cwd }).done;

/** The name and state of each run of one JSON object, which must be all of the text. */
function shownBy(text: string): [string, string][] {
  const { runs } = JSON.parse(text) as { runs: { run: string; state: string }[] };
  return runs.map(({ run, state }) => [run, state]);
}

test('a run that has no state yet is starting, and no error', async (t) => {
  const cwd = tempDir(t);
  const run = await createRun(path.join(cwd, '.trainguard'), 'young', Date.now());
  assert.ok(run.ok);
  const lock = await acquireLock({ kind: 'run', run: 'young', dir: run.value.dir, keepIn: run.value.dir });
  assert.ok(lock.ok);
  t.after(() => lock.value.release());

  assert.deepEqual(await status(t, cwd), { code: 0, signal: null, stdout: 'young  starting\n', stderr: '' });
  const { code, stdout, stderr } = await status(t, cwd, 'young', '--json', '--exit-code');
  assert.deepEqual([code, stderr], [0, '']);
  assert.deepEqual(shownBy(stdout), [['young', 'starting']]);
  const view = (JSON.parse(stdout) as { runs: Record<string, unknown>[] }).runs[0] ?? {};
  assert.equal(view['active'], true);
  assert.equal(view['pid'], null);
  assert.deepEqual(view['workers'], []);

  // the same keys as of any other run
  await guard(t, ['true'], { cwd, flags: ['--name', 'old'] }).done;
  const both = JSON.parse((await status(t, cwd, '--json')).stdout) as { runs: Record<string, unknown>[] };
  assert.deepEqual(...(both.runs.map((one) => Object.keys(one).sort()) as [string[], string[]]));

  await lock.value.release();
  const left = await status(t, cwd, 'young', '--exit-code');
  assert.equal(left.code, 3);
  assert.match(left.stdout, /^young {2}orphaned\b/, 'nobody is there to start it');
});

test('a run folder without its run.json is told of, not passed over', async (t) => {
  const cwd = tempDir(t);
  await guard(t, ['true'], { cwd, flags: ['--name', 'torn'] }).done;
  rmSync(path.join(cwd, '.trainguard/runs/torn/run.json'));
  const { code, stderr } = await status(t, cwd);
  assert.equal(code, 125);
  assert.match(stderr, /^trainguard: .*runs\/torn is a run's folder without its run\.json; /);
});

test('a damaged state is told on stderr with 125, and the other runs are shown in one object', async (t) => {
  const cwd = tempDir(t);
  for (const name of ['bad', 'good', 'worse']) {
    await guard(t, ['true'], { cwd, flags: ['--name', name] }).done;
  }
  for (const name of ['bad', 'worse']) {
    writeFileSync(path.join(cwd, '.trainguard/runs', name, 'state.json'), '{');
  }
  const json = await status(t, cwd, '--json');
  assert.equal(json.code, 125);
  assert.deepEqual(shownBy(json.stdout), [['good', 'completed']]);
  assert.match(
    json.stderr,
    /^trainguard: .*bad\/state\.json is damaged.*\ntrainguard: .*worse\/state\.json.*\n$/,
  );

  const words = await status(t, cwd);
  assert.equal(words.code, 125);
  assert.match(words.stdout, /^good {2}completed[^\n]*\n/);
  assert.equal(words.stderr, json.stderr);

  const one = await status(t, cwd, 'bad', '--json');
  assert.equal(one.code, 125);
  assert.equal((JSON.parse(one.stdout) as { type: string }).type, 'error');
  assert.equal((await status(t, cwd, 'bad')).stdout, '');
});
