import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { TestEnd } from '../support/cleanup.js';
import type { Incident } from '../../src/report/incident.js';
import { runCli, type Ended } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { digits, guard, quarantineOf, statusOf } from './kit.js';

const LENGTH = ['--steps', '40', '--save-every', '10'] as const;
const run = ['--name', 'play'] as const;
const folder = (cwd: string): string => path.join(cwd, '.trainguard/runs/play/incidents');
const read = (cwd: string, name: string): string => readFileSync(path.join(folder(cwd), name), 'utf8');
const incidentOf = (cwd: string, name: string): Incident => JSON.parse(read(cwd, name)) as Incident;
const report = (t: TestEnd, cwd: string, ...args: readonly string[]): Promise<Ended> =>
  runCli(t, ['report', ...args], { cwd }).done;

describe('incidents', { concurrency: 2 }, () => {
  test('of a crash, of NaN with a rollback, and of a hang: each has its files, and all tell of them', async (t) => {
    const cwd = tempDir(t);
    // step 16 is bad and saved before step 17 shows it
    const ended = await guard(t, digits('--steps', '40', '--save-every', '4', '--step-time', '0.005'), {
      cwd,
      flags: [...run, '--heartbeat-timeout', '5', '--startup-timeout', '60'],
      env: { DIGITS_FAULT: 'crash@step=13;nan@step=16,attempt=1;hang@step=35,attempt=2' },
      json: false,
    }).done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(
      readdirSync(folder(cwd)).sort(),
      [1, 2, 3].flatMap((n) => [`00${n}.json`, `00${n}.md`]),
    );
    assert.equal(statSync(folder(cwd)).mode & 0o777, 0o700);
    for (const name of readdirSync(folder(cwd)))
      assert.equal(statSync(path.join(folder(cwd), name)).mode & 0o777, 0o600);

    const [crash, nan, hang] = ['001.json', '002.json', '003.json'].map((name) => incidentOf(cwd, name));
    assert.ok(crash && nan && hang);
    assert.deepEqual([crash, nan, hang].map(({ kind, outcome }) => [kind, outcome]), [['exception', 'recovered'], ['numeric', 'recovered'], ['hang', 'recovered']]); // prettier-ignore
    assert.equal(crash.step, 13);
    assert.equal(crash.lost?.steps, 1);
    const [{ file, line, text } = { file: '', line: 0, text: '' }] = crash.evidence;
    const log = readFileSync(file ?? '', 'utf8').split('\n');
    assert.equal(log[(line ?? 0) - 1], text, 'the line that is named says so');
    assert.equal(nan.badStep, 16);
    const [rollback] = nan.rollbacks;
    assert.ok(rollback && (rollback.target?.step ?? 16) < 16, JSON.stringify(rollback));
    assert.ok(rollback.quarantined.length > 0);
    for (const name of rollback.quarantined)
      assert.equal(quarantineOf(cwd)[name], path.join(rollback.quarantine ?? '', name));
    assert.ok(hang.stacks && statSync(hang.stacks.file).size > 0, 'stacks were written');
    assert.ok(hang.done.some(({ type }) => type === 'stopped'));

    // the lines of run: the failure with how long it took, and where all of it is told
    assert.match(ended.stderr, /attempt 0 failed after [\d.]+ m?s at step 13: exception/);
    assert.match(
      ended.stderr,
      /\n +0 {2}exception at step 13 .*\n +\.trainguard\/runs\/play\/incidents\/001\.md\n/,
    );
    assert.match(ended.stderr, /logs and incidents: \.trainguard\/runs\/play\n/);

    const words = await runCli(t, ['status'], { cwd }).done;
    assert.match(words.stdout, /^ +last incident: attempt 2, hang, .* ago: .*incidents\/003\.md$/m);
    const status = (await statusOf(t, cwd, 'play')) as unknown as { incident: Record<string, unknown> };
    assert.equal(status.incident['number'], 3);
    assert.equal(status.incident['file'], path.join(folder(cwd), '003.md'));

    const told = await report(t, cwd, 'play');
    assert.deepEqual([told.code, told.stderr], [0, '']);
    assert.match(told.stdout, /^# Run play: completed\n/);
    for (const part of [
      '- attempts: 4',
      '- steps done again: ',
      '## Failures',
      '### Incident 002: ',
      'step-000040.npz',
    ])
      assert.ok(told.stdout.includes(part), `${part} in\n${told.stdout}`);
    const data = JSON.parse((await report(t, cwd, '--json')).stdout) as {
      readonly run: { readonly run: string };
      readonly incidents: readonly Incident[];
      readonly checkpoints: readonly { readonly checkpoints: readonly unknown[] }[];
    };
    assert.equal(data.run.run, 'play');
    assert.deepEqual(
      data.incidents.map(({ number }) => number),
      [1, 2, 3],
    );
    assert.ok((data.checkpoints[0]?.checkpoints.length ?? 0) > 0);
  });

  test('one of a killed supervisor goes on with the next, which adopts the worker', async (t) => {
    const cwd = tempDir(t);
    const training = digits(...LENGTH, '--step-time', '0.05');
    const env = { DIGITS_FAULT: 'crash@step=12' };
    const first = guard(t, training, { cwd, flags: run, env });
    await first.untilStdout(/"type":"launched".*"attempt":1/);
    first.kill('SIGKILL');
    await first.done;
    const ended = await guard(t, training, { cwd, flags: run, env }).done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(readdirSync(folder(cwd)).sort(), ['001.json', '001.md']);
    const { outcome, lost, done } = incidentOf(cwd, '001.json');
    assert.deepEqual([outcome, lost?.steps], ['recovered', 2], JSON.stringify(done));
  });

  test('what was given up is told so, and a new start counts on', async (t) => {
    const cwd = tempDir(t);
    const failing = ['sh', '-c', 'echo "api_key=abcdefghijklmnop1234" >&2; exit 3'];
    const flags = [...run, '--max-retries', '0'];
    for (const number of [1, 2]) {
      const ended = await guard(t, failing, { cwd, flags }).done;
      assert.equal(ended.code, 3);
      const incident = incidentOf(cwd, `00${number}.json`);
      assert.deepEqual(
        [incident.number, incident.attempt, incident.outcome],
        [number, number - 1, 'gave-up'],
      );
      assert.match(read(cwd, `00${number}.md`), /"trainguard resume play" launches it again/);
      assert.doesNotMatch(
        read(cwd, `00${number}.json`) + read(cwd, `00${number}.md`),
        /abcdefghijklmnop1234/,
      );
    }
  });

  test('that cannot be written are noticed once and stop nothing', async (t) => {
    const cwd = tempDir(t);
    await guard(t, ['true'], { cwd, flags: run }).done;
    rmSync(folder(cwd), { recursive: true });
    writeFileSync(folder(cwd), 'a file');
    const ended = await guard(t, digits(...LENGTH), {
      ...{ cwd, flags: run, json: false },
      env: { DIGITS_FAULT: 'crash@step=12;crash@step=25,attempt=1' },
    }).done;
    assert.match(ended.stderr, /completed through/, ended.stderr);
    assert.equal(ended.stderr.split('its incidents may not be complete').length, 2, ended.stderr);
  });

  test('report: unknown run exit 4, a run under way, and one whose supervisor is gone', async (t) => {
    const cwd = tempDir(t);
    assert.equal((await report(t, cwd)).code, 4);
    const active = guard(t, ['sleep', '60'], { cwd, flags: run });
    await active.untilStdout(/"type":"launched"/);
    const unknown = await report(t, cwd, 'plai');
    assert.deepEqual([unknown.code, unknown.stdout], [4, '']);
    assert.match(unknown.stderr, /no run plai .*did you mean play\?\n$/);
    const under = await report(t, cwd, 'play');
    assert.equal(under.code, 0, under.stderr);
    // what it reads is written once a second
    assert.match(under.stdout, /^# Run play: (starting|running)\n[^]*## Failures\n\nnone\./);
    active.kill('SIGKILL');
    await active.done;
    const orphaned = await report(t, cwd, 'play');
    assert.match(orphaned.stdout, /^# Run play: orphaned\n/);
  });

  test('report: what is damaged is told on stderr, the rest is shown', async (t) => {
    const cwd = tempDir(t);
    const failing = ['sh', '-c', 'exit 3'];
    await guard(t, failing, { cwd, flags: [...run, '--max-retries', '1'] }).done;
    writeFileSync(path.join(folder(cwd), '001.json'), '{');
    const { code, stdout, stderr } = await report(t, cwd, 'play');
    assert.equal(code, 125);
    assert.match(stderr, /^trainguard: .*001\.json is damaged: it is no JSON.*\n$/);
    assert.match(stdout, /### Incident 002/);
    assert.equal((await runCli(t, ['status'], { cwd }).done).code, 0);
  });
});
