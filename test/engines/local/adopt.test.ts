import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { createLocalEngine } from '../../../src/engines/local/engine.js';
import type { LocalWorker } from '../../../src/engines/local/worker.js';
import type { LogOffsets } from '../../../src/supervisor/ports.js';
import type { Result } from '../../../src/util/result.js';
import { runProgram } from '../../support/run-cli.js';
import { launch, lives, until, type Launched } from './support.js';

interface Adopted {
  readonly result: Result<LocalWorker | undefined>;
  readonly lines: string[];
  readonly notices: string[];
}

/** What a second supervisor makes of an attempt; the first one goes on watching, which nobody minds here. */
async function adopt(
  { attemptDir, cwd }: Launched,
  offsets: LogOffsets = { out: 0, err: 0 },
): Promise<Adopted> {
  const lines: string[] = [];
  const notices: string[] = [];
  const result = await createLocalEngine({ logsKeepAttemptBytes: 2 ** 30, graceMs: 5000 }).adopt(
    { attemptDir, runId: path.basename(cwd), offsets },
    { line: (text) => lines.push(text), notice: (text) => notices.push(text), stuck: () => undefined },
  );
  return { result, lines, notices };
}

async function adoptWorker(
  launched: Launched,
  offsets?: LogOffsets,
): Promise<Adopted & { worker: LocalWorker }> {
  const adopted = await adopt(launched, offsets);
  assert.ok(adopted.result.ok && adopted.result.value);
  return { ...adopted, worker: adopted.result.value };
}

const untilFile = (name: string): string => `while [ ! -e ${name} ]; do sleep 0.02; done`;

describe('an attempt that an earlier supervisor launched', { concurrency: 4 }, () => {
  test('alive: its lines go on where they were read to, its status comes from the file', async (t) => {
    const launched = await launch(t, ['sh', '-c', `echo one; ${untilFile('on')}; echo two; exit 7`]);
    await launched.said(/one/);
    const { worker, lines } = await adoptWorker(launched, { out: 4, err: 0 });
    assert.equal(worker.pid, launched.worker.pid);
    writeFileSync(path.join(launched.cwd, 'on'), '');
    assert.deepEqual(await worker.ended, { type: 'code', code: 7 });
    assert.deepEqual(lines, ['two']);
    assert.deepEqual(worker.offsets, { out: 8, err: 0 });
  });

  test('ended meanwhile: judged by what it left, its last lines included', async (t) => {
    const launched = await launch(t, [
      'sh',
      '-c',
      'echo one; echo "two without an end" | tr -d "\\n"; kill -9 $$',
    ]);
    await launched.worker.ended;
    const { worker, lines } = await adoptWorker(launched, { out: 4, err: 0 });
    assert.deepEqual(await worker.ended, { type: 'signal', signal: 'SIGKILL', number: 9 });
    assert.deepEqual(lines, ['two without an end']);
    assert.equal((await worker.hostFacts()).rebooted, undefined);
    const [, out] = await worker.tails(8);
    assert.deepEqual(out, { source: 'worker-0.out.log', text: 't an end', firstLine: 2 });
  });

  test('a memory kill while nobody watched is seen by the count that the launch noted', async (t) => {
    const launched = await launch(t, ['sh', '-c', 'kill -9 $$']);
    await launched.worker.ended;
    const counter = path.join(launched.cwd, 'memory.events');
    writeFileSync(counter, 'oom 5\noom_kill 4\n');
    const file = path.join(launched.attemptDir, 'launch.json');
    const record = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    writeFileSync(file, JSON.stringify({ ...record, oomCount: { file: counter, kills: 3 } }));
    const { worker } = await adoptWorker(launched);
    await worker.ended;
    assert.equal((await worker.hostFacts()).oomKills, 1);
  });

  test('alive: it can be stopped, and leaves nothing behind', async (t) => {
    const script = 'env -i setsid sh -c "echo $$; sleep 60" & echo on; wait';
    const launched = await launch(t, ['sh', '-c', script]);
    const grandchild = Number(await launched.said(/^(\d+)$/));
    const { worker } = await adoptWorker(launched);
    worker.stop({ signal: 'SIGTERM', graceMs: 2000, dumpStacks: false, preempted: false });
    assert.deepEqual(await worker.ended, { type: 'signal', signal: 'SIGTERM', number: 15 });
    assert.ok(!lives(grandchild));
  });

  test('its shim was killed: it is watched itself, and how it ended stays unknown', async (t) => {
    const launched = await launch(t, ['sh', '-c', `echo $PPID; ${untilFile('on')}`]);
    const shim = Number(await launched.said(/^\d+$/));
    process.kill(shim, 'SIGKILL');
    await until('the shim is gone', () => !lives(shim));
    const { worker } = await adoptWorker(launched);
    assert.ok(lives(worker.pid));
    writeFileSync(path.join(launched.cwd, 'on'), '');
    assert.deepEqual(await worker.ended, { type: 'unknown' });
  });

  test('of another boot: its pids name nobody here, whoever has them now is left alone', async (t) => {
    const launched = await launch(t, ['sleep', '60']);
    const file = path.join(launched.attemptDir, 'launch.json');
    await until('it is named', () => existsSync(file));
    const record = JSON.parse(readFileSync(file, 'utf8')) as object;
    writeFileSync(file, JSON.stringify({ ...record, bootId: 'another boot' }));
    const { worker } = await adoptWorker(launched);
    worker.kill();
    assert.deepEqual(await worker.ended, { type: 'unknown' });
    assert.equal((await worker.hostFacts()).rebooted, true);
    assert.ok(lives(launched.worker.pid));
  });

  test('its folder is gone though it lives: nothing is guessed, its pid is named', async (t) => {
    const launched = await launch(t, ['sh', '-c', 'echo on; exec sleep 60']);
    await launched.said(/on/);
    const aside = `${launched.attemptDir}.aside`;
    renameSync(launched.attemptDir, aside);
    const { result } = await adopt(launched);
    renameSync(aside, launched.attemptDir);
    assert.ok(!result.ok);
    assert.equal(result.error.exit, 75);
    assert.match(result.error.message, new RegExp(`pid (\\d+, )*${launched.worker.pid}\\b`));
    assert.ok(lives(launched.worker.pid));
  });

  test('one of its logs is gone: it is watched on by the other, and that is said', async (t) => {
    const launched = await launch(t, ['sh', '-c', `echo one; ${untilFile('on')}; echo two; exit 7`]);
    await launched.said(/one/);
    rmSync(path.join(launched.attemptDir, 'worker-0.err.log'));
    const { worker, lines, notices } = await adoptWorker(launched, { out: 4, err: 5 });
    writeFileSync(path.join(launched.cwd, 'on'), '');
    assert.deepEqual(await worker.ended, { type: 'code', code: 7 });
    assert.deepEqual(lines, ['two']);
    assert.deepEqual(worker.offsets, { out: 8, err: 5 });
    assert.deepEqual(
      (await worker.tails(100)).map(({ text }) => text),
      ['', 'one\ntwo\n'],
    );
    assert.equal(notices.filter((text) => /logs in .* were deleted/.test(text)).length, 1);
  });

  test('in another pid namespace of this kernel: not taken over while it lives', async (t) => {
    const launched = await launch(t, ['sh', '-c', 'echo on; exec sleep 60']);
    await launched.said(/on/);
    await inOtherNamespace(launched);
    const { result } = await adopt(launched);
    assert.ok(!result.ok);
    assert.equal(result.error.exit, 75);
    assert.match(result.error.message, new RegExp(`pid (\\d+, )*${launched.worker.pid}\\b`));
    launched.worker.kill();
    await launched.worker.ended;
    const { worker } = await adoptWorker(launched);
    assert.deepEqual(await worker.ended, { type: 'signal', signal: 'SIGKILL', number: 9 });
    assert.equal((await worker.hostFacts()).rebooted, undefined);
  });
});

/** As if it had been launched in a container that is gone from our sight, all but its processes. */
async function inOtherNamespace({ attemptDir }: Launched): Promise<void> {
  const file = path.join(attemptDir, 'launch.json');
  await until('it is on record', () => existsSync(file));
  const record = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...record, pidNamespace: '1' }));
}

describe('a launch around which a supervisor died', () => {
  const nothing = (t: TestContext): Promise<Launched> => launch(t, ['true']);

  test('its folder was never made: it never started', async (t) => {
    const launched = await nothing(t);
    await launched.worker.ended;
    const { result } = await adopt({ ...launched, attemptDir: path.join(launched.cwd, 'run/attempts/001') });
    assert.deepEqual(result, { ok: true, value: undefined });
  });

  test('prepared and not begun: it is given up for good', async (t) => {
    const launched = await nothing(t);
    await launched.worker.ended;
    const files = { pid: ' '.repeat(1024), exit: ' '.repeat(256) };
    for (const [name, text] of Object.entries(files))
      writeFileSync(path.join(launched.attemptDir, name), text);
    mkdirSync(path.join(launched.attemptDir, 'go'));
    const { result } = await adopt(launched);
    assert.deepEqual(result, { ok: true, value: undefined });
    assert.ok(!existsSync(path.join(launched.attemptDir, 'go')));
  });

  test('given up by one that died before it could say so: it never started', async (t) => {
    const launched = await nothing(t);
    await launched.worker.ended;
    for (const name of ['pid', 'exit']) writeFileSync(path.join(launched.attemptDir, name), ' '.repeat(1024));
    const { result } = await adopt(launched);
    assert.deepEqual(result, { ok: true, value: undefined });
  });

  test('its files are gone, all but the record that it was launched: it may have run', async (t) => {
    const launched = await nothing(t);
    await launched.worker.ended;
    for (const name of ['pid', 'exit']) rmSync(path.join(launched.attemptDir, name));
    const { worker } = await adoptWorker(launched);
    assert.deepEqual(await worker.ended, { type: 'unknown' });
  });

  test('its record is gone and its pids are of a boot before: strangers are left alone', async (t) => {
    const stranger = runProgram(t, ['setsid', '-f', 'sh', '-c', 'echo $$; exec sleep 60']);
    const pid = Number((await stranger.untilStdout(/^\d+/))[0]);
    const launched = await nothing(t);
    await launched.worker.ended;
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ');
    stat[21] = String(Number(stat[21]) + 1); // of a process that started a moment after the one that has its pid now
    writeFileSync(path.join(launched.attemptDir, 'pid'), stat.join(' '));
    writeFileSync(path.join(launched.attemptDir, 'exit'), ' '.repeat(256));
    rmSync(path.join(launched.attemptDir, 'launch.json'));
    const { worker } = await adoptWorker(launched);
    assert.equal(worker.pid, 0);
    assert.deepEqual(await worker.ended, { type: 'unknown' });
    assert.ok(lives(pid));
  });
});
