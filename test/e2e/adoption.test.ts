import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { readStatus } from '../../src/engines/local/launch-record.js';
import { mono } from '../../src/util/os/boot.js';
import { eventually } from '../support/eventually.js';
import { processAlive } from '../support/process-alive.js';
import { PuppetStage, type Puppet } from '../support/puppet.js';
import { runCli, type Running } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { guard, kindsOf, ofType, statusOf, summaryOf, type GuardOptions } from './kit.js';

describe('a run whose supervisor was killed is taken over', { concurrency: 3 }, () => {
  test('same worker, same attempt; each heartbeat counts once, also one that was cut in two', async (t) => {
    const play = await onStage(t);
    const { worker, run } = play;
    await worker.stdout('heartbeat step=1\nheartbeat st');
    await run.untilStdout(/"type":"progressed"/);
    await published(t, play, 1);
    await killed(run);
    await worker.stdout('ep=2\nheartbeat step=3\n');
    const heir = await takenOver(play);
    await worker.stdout('heartbeat step=4\n');
    await published(t, play, 4);
    await killed(heir);
    const last = await takenOver(play);
    await worker.stderr('heartbeat step=5\n');
    await worker.exit(0);
    const ended = await last.done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(metricSteps(play), [1, 2, 3, 4, 5]);
    const [exit] = ofType(ended, 'exited');
    assert.equal((exit?.['summary'] as { heartbeats: number }).heartbeats, 5);
    const { attempt, totalFailures } = summaryOf(ended).run;
    assert.deepEqual([attempt, totalFailures], [0, 0]);
    assert.equal(play.stage.count, 1);
  });

  test('it is shown what was written while nobody watched, in words', async (t) => {
    const play = await onStage(t);
    await play.worker.stdout('heartbeat step=1\n');
    await published(t, play, 1);
    await killed(play.run);
    await play.worker.stdout('written alone\n');
    const heir = again(play, { json: false });
    await heir.untilStdout(/^written alone$/m);
    await heir.untilStderr(
      new RegExp(`run play · attempt 0 goes on · pid ${play.worker.pid}: its supervisor was gone`),
    );
    await play.worker.exit(0);
    const { stdout } = await heir.done;
    assert.doesNotMatch(stdout, /step=1/, 'the first supervisor showed that');
  });

  test('its failure is judged as ever, and the next attempt follows', async (t) => {
    const play = await onStage(t);
    await killed(play.run);
    const heir = await takenOver(play);
    await play.worker.stderr('ValueError: no such thing\n');
    await play.worker.exit(3);
    const next = await play.stage.next();
    assert.equal(next.hello.env['TRAINGUARD_ATTEMPT'], '1');
    await next.exit(0);
    const { run } = summaryOf(await heir.done);
    assert.deepEqual([run.attempt, run.failures[0]?.exitCode], [1, 3]);
  });

  test('a stop asked of the heir stops it gracefully', async (t) => {
    const play = await onStage(t);
    await play.worker.trap('SIGTERM');
    await killed(play.run);
    const heir = await takenOver(play);
    heir.kill('SIGTERM');
    await play.worker.signal('SIGTERM');
    await play.worker.exit(0);
    assert.equal((await heir.done).code, 143);
  });

  test('trainguard stop finds it, gives it a supervisor, and so stops it as gracefully as ever', async (t) => {
    const play = await onStage(t);
    await play.worker.trap('SIGTERM');
    await killed(play.run);
    const stop = runCli(t, ['stop', 'play'], { cwd: play.cwd });
    await play.worker.signal('SIGTERM');
    await play.worker.exit(0);
    assert.deepEqual(await stop.done, { code: 0, signal: null, stdout: 'run play is stopped\n', stderr: '' });
    const { state, attempt } = await statusOf(t, play.cwd, 'play');
    assert.deepEqual([state, attempt], ['stopped', 0]);
  });

  test('a stop asked of the dead one is forgotten: what ends of it is no success and no failure, the run goes on', async (t) => {
    const play = await onStage(t);
    await play.worker.trap('SIGTERM');
    play.run.kill('SIGTERM');
    await play.worker.signal('SIGTERM');
    await killed(play.run);
    const heir = await takenOver(play);
    await play.worker.exit(0);
    const next = await play.stage.next();
    await next.exit(0);
    const ended = await heir.done;
    assert.equal(ended.code, 0);
    const { attempt, totalFailures } = summaryOf(ended).run;
    assert.deepEqual([attempt, totalFailures], [1, 0]);
  });

  test('its checkpoint folder is not free for another run, wherever that keeps its state', async (t) => {
    const play = await onStage(t);
    await killed(play.run);
    const state = path.join(play.cwd, 'elsewhere');
    const other = await play.start({ flags: ['--name', 'other', '--state-dir', state], json: false }).done;
    assert.equal(other.code, 75, other.stderr);
    assert.match(other.stderr, new RegExp(`run play still writes into .* pid ${play.worker.pid};`));
    assert.ok(play.worker.alive);
    // its run's folder moved away, as a person may have thought wise
    renameSync(runFile(play, ''), path.join(play.cwd, 'aside'));
    const anew = await play.start({ json: false }).done;
    assert.equal(anew.code, 75, anew.stderr);
    assert.equal(play.stage.count, 1);
    await play.worker.exit(0);
    await eventually(() => !processAlive(play.worker.hello.ppid), 'the end of its shim');
    const free = play.start({ flags: ['--name', 'other', '--state-dir', state] });
    const second = await play.stage.next();
    await second.exit(0);
    assert.equal((await free.done).code, 0);
  });

  test('silence while nobody watched is not held against it; silence after is', async (t) => {
    const play = await onStage(t, ['--heartbeat-timeout', '10m']);
    await play.worker.stdout('heartbeat step=1\n');
    await published(t, play, 1);
    await killed(play.run);
    const from = mono();
    await eventually(() => mono() - from > 2500, 'silence longer than the timeout');
    const heir = await takenOver(play, ['--heartbeat-timeout', '1']);
    const next = await play.stage.next();
    await next.exit(0);
    const ended = await heir.done;
    const [adopted] = ofType(ended, 'adopted');
    const [deadline] = ofType(ended, 'deadline');
    assert.ok(adopted && deadline);
    assert.ok(Number(adopted['unwatchedMs']) > 2000);
    const watchedMs = deadline.mono - adopted.mono;
    assert.ok(watchedMs > 500, `it was given up ${watchedMs} ms after it was taken over`);
    assert.deepEqual(kindsOf(summaryOf(ended).run), ['hang']);
  });

  test('the host was restarted meanwhile: the worker is gone, and that is why', async (t) => {
    const play = await onStage(t);
    await play.worker.stdout('heartbeat step=7\n');
    await published(t, play, 7);
    await killed(play.run);
    await play.worker.dieBy('SIGKILL');
    await exitOnRecord(play, 'attempts/000');
    // what another boot left: the shim died with the host, and its ids are of that boot
    const files = runFile(play, 'attempts/000');
    writeFileSync(path.join(files, 'exit'), ' '.repeat(256));
    const launch = path.join(files, 'launch.json');
    const record = JSON.parse(readFileSync(launch, 'utf8')) as object;
    writeFileSync(launch, JSON.stringify({ ...record, bootId: 'another-boot' }));
    const heir = again(play);
    const next = await play.stage.next();
    await next.exit(0);
    const { run } = summaryOf(await heir.done);
    const [failure] = run.failures;
    assert.deepEqual([failure?.kind, failure?.step], ['killed', 7]);
    assert.match(failure?.reason ?? '', /host was restarted/);
  });

  test('decided but never started: exactly one worker, and it costs no retry', async (t) => {
    const play = await onStage(t);
    await play.worker.exit(1);
    const second = await play.stage.next();
    await play.run.untilStdout(/"type":"launched".*"attempt":1\}/);
    await killed(play.run);
    await second.dieBy('SIGKILL');
    await exitOnRecord(play, 'attempts/001');
    // as if it had been killed before its shim began: the journal ends with the decision, nobody has taken go/
    dropLastEvents(play, 'host-ready');
    rmSync(runFile(play, 'state.json'));
    const files = runFile(play, 'attempts/001');
    for (const [name, size] of [
      ['pid', 1024],
      ['exit', 256],
    ] as const)
      writeFileSync(path.join(files, name), ' '.repeat(size));
    mkdirSync(path.join(files, 'go'));
    const heir = again(play);
    const third = await play.stage.next();
    await third.exit(0);
    const ended = await heir.done;
    assert.equal(ofType(ended, 'launch-abandoned').length, 1);
    const { totalFailures, retriesUsed } = summaryOf(ended).run;
    assert.deepEqual([totalFailures, retriesUsed], [1, 1]);
    assert.equal(play.stage.count, 3);
  });
});

interface Play {
  readonly stage: PuppetStage;
  readonly cwd: string;
  readonly run: Running;
  readonly worker: Puppet;
  readonly start: (options?: Partial<GuardOptions>) => Running;
}

async function onStage(t: TestContext, flags: readonly string[] = []): Promise<Play> {
  const stage = await PuppetStage.create(t);
  const cwd = tempDir(t);
  const start = (options: Partial<GuardOptions> = {}): Running =>
    guard(t, stage.command, { cwd, flags: ['--name', 'play', ...flags], ...options });
  const run = start();
  const worker = await stage.next();
  await run.untilStdout(/"type":"launched"/);
  return { stage, cwd, run, worker, start };
}

const again = (play: Play, options: Partial<GuardOptions> = {}): Running => play.start(options);

/** A new supervisor that has the very same worker in hand. */
async function takenOver(play: Play, flags: readonly string[] = []): Promise<Running> {
  const heir = play.start({ flags: ['--name', 'play', ...flags] });
  await heir.untilStdout(new RegExp(`"type":"adopted","pid":${play.worker.pid},`));
  assert.ok(play.worker.alive);
  return heir;
}

async function killed(run: Running): Promise<void> {
  run.kill('SIGKILL');
  await run.done;
}

const runFile = ({ cwd }: Play, name: string): string => path.join(cwd, '.trainguard/runs/play', name);

/** Waits until the shim, which outlives its command for a moment, has written its last word. */
async function exitOnRecord(play: Play, attempt: string): Promise<void> {
  await eventually(() => readStatus(runFile(play, attempt)) !== undefined, `${attempt}/exit`);
}

/** Waits until state.json tells of so many heartbeats. */
async function published(t: TestContext, play: Play, step: number): Promise<void> {
  await eventually(async () => (await statusOf(t, play.cwd, 'play')).step === step, `step ${step} in status`);
}

const jsonLines = (file: string): readonly Record<string, unknown>[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

const metricSteps = (play: Play): readonly unknown[] =>
  jsonLines(runFile(play, 'metrics.jsonl')).map(({ heartbeat }) => (heartbeat as { step: number }).step);

/** Cuts the journal off after the last event of that type. */
function dropLastEvents(play: Play, type: string): void {
  const file = runFile(play, 'journal.jsonl');
  const lines = readFileSync(file, 'utf8').split('\n');
  const at = lines.findLastIndex((line) => line.includes(`"type":"${type}"`));
  assert.ok(at > 0);
  writeFileSync(file, lines.slice(0, at + 1).join('\n') + '\n');
}
