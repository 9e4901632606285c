import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { runCli } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { checkpointsIn, digits, eventsOf, guard, kindsOf, summaryOf } from './kit.js';

const LENGTH = ['--steps', '40', '--save-every', '10'] as const;

const configure = (cwd: string, config: object): void =>
  writeFileSync(path.join(cwd, 'recovery.config.json'), JSON.stringify(config));

/** A hook that notes that it was called, and what it was told. */
const note = (then = ''): readonly string[] => [
  ...['sh', '-c'],
  `echo "$TRAINGUARD_HOOK $TRAINGUARD_ATTEMPT $TRAINGUARD_FAILURE_KIND" >> calls; cat >> "$TRAINGUARD_HOOK.json"; ${then}`,
];

const callsIn = (cwd: string): readonly string[] =>
  readFileSync(path.join(cwd, 'calls'), 'utf8').trimEnd().split('\n');

describe('hooks', { concurrency: 3 }, () => {
  test('are called in their order, around the rollback too, and the run goes on', async (t) => {
    const cwd = tempDir(t);
    const hooks = Object.fromEntries(
      ['onFailure', 'beforeRollback', 'afterRollback', 'onGiveUp', 'onComplete'].map((name) => [
        name,
        note(),
      ]),
    );
    configure(cwd, { hooks });
    const env = { DIGITS_FAULT: 'torn@step=30' };
    const ended = await guard(t, digits(...LENGTH), { cwd, env }).done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(
      callsIn(cwd).map((call) => call.split(' ')[0]),
      ['onFailure', 'beforeRollback', 'afterRollback', 'onComplete'],
    );
    const context = JSON.parse(readFileSync(path.join(cwd, 'beforeRollback.json'), 'utf8')) as {
      rollback: { target: string; moves: readonly string[] };
    };
    assert.deepEqual(context.rollback.moves, ['step-000030.npz']);
    assert.match(context.rollback.target, /step-000020/);
  });

  test('onFailure that exits 125 gives up at once, and the folder stays as it is', async (t) => {
    const cwd = tempDir(t);
    configure(cwd, {
      hooks: { onFailure: note('echo the data set is gone; exit 125'), onGiveUp: note() },
    });
    const env = { DIGITS_FAULT: 'crash@step=25' };
    const ended = await guard(t, digits(...LENGTH), { cwd, env }).done;
    const { outcome, run } = summaryOf(ended);
    assert.equal(outcome, 'failed', ended.stderr);
    assert.deepEqual(kindsOf(run), ['exception']);
    assert.match(
      run.failures[0]?.action ?? '',
      /^gave up: .*hook onFailure says that the failure is permanent \(exit 125\): the data set is gone/,
    );
    assert.deepEqual(
      callsIn(cwd).map((call) => call.split(' ')[0]),
      ['onFailure', 'onGiveUp'],
    );
    assert.deepEqual(checkpointsIn(cwd), ['step-000010.npz', 'step-000020.npz']);
  });

  test('that fail or are not there are said, and change nothing', async (t) => {
    const cwd = tempDir(t);
    configure(cwd, { hooks: { onFailure: ['./none'], onComplete: ['sh', '-c', 'echo no mail; exit 1'] } });
    const env = { DIGITS_FAULT: 'crash@step=25' };
    const ended = await guard(t, digits(...LENGTH), { cwd, env }).done;
    assert.equal(ended.code, 0, ended.stderr);
    const notices = eventsOf(ended.stdout).flatMap(({ type, text }) =>
      type === 'notice' ? [String(text)] : [],
    );
    assert.ok(
      notices.some((text) => /hook onFailure failed and changes nothing: .*none was not found/.test(text)),
    );
    assert.ok(
      notices.some((text) => /^hook onFailure: command not found: \.\/none/.test(text)),
      'said before the start',
    );
    assert.ok(
      notices.some((text) => /hook onComplete failed and changes nothing: exit 1: no mail/.test(text)),
    );
  });

  test('--dry-run names who would be called and notified, and calls nobody', async (t) => {
    const cwd = tempDir(t);
    configure(cwd, { hooks: { onFailure: note() }, preflight: [['./ready', '--token', 'secret']] });
    const flags = [
      '--dry-run',
      '--notify',
      'https://hooks.example.org/services/secret',
      '--notify',
      'touch told',
    ];
    const { code, stderr } = await runCli(t, ['run', ...flags, '--', 'sh', '-c', 'true'], { cwd }).done;
    assert.equal(code, 0, stderr);
    assert.match(stderr, /before a retry: \.\/ready --token \*\*\*/);
    assert.match(stderr, /onFailure: sh -c/);
    assert.match(stderr, /would notify https:\/\/hooks\.example\.org\/…, touch told/);
    assert.doesNotMatch(stderr, /secret/);
    assert.ok(!existsSync(path.join(cwd, 'told')));
  });
});
