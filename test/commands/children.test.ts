import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { type ChildCall, type ChildEnd, endWords, lastWords, runChild } from '../../src/commands/children.js';
import { openChildrenLog } from '../../src/commands/children-log.js';
import { eventually } from '../support/eventually.js';
import { processAlive } from '../support/process-alive.js';
import { tempDir } from '../support/temp-dir.js';

const env = { PATH: process.env['PATH'] ?? '' };

const sh = (script: string, call: Partial<ChildCall> = {}): Promise<ChildEnd> =>
  runChild({ argv: ['sh', '-c', script], cwd: '/', env, timeoutMs: 30_000, ...call });

/** A file that a script writes a pid into. */
function pidIn(t: TestContext): { readonly file: string; readonly read: () => Promise<number> } {
  const file = path.join(tempDir(t), 'pid');
  const pid = (): number => Number(existsSync(file) ? readFileSync(file, 'utf8') : 0);
  return { file, read: () => eventually(() => pid() || undefined, 'a pid') };
}

test('gets its input, and gives its output and how it ended', async () => {
  const end = await sh('cat; echo oops >&2; exit 3', { input: '{"a":1}\n' });
  assert.equal(end.type === 'exited' && end.code, 3);
  assert.match(end.output, /^\{"a":1\}$/m);
  assert.equal(endWords(end), 'exit 3');
  assert.equal(lastWords(end), 'oops');
  assert.equal(lastWords(await sh('true')), undefined);
  const [long, token] = ['x'.repeat(190), 'hf_abcdefghijklmnopqrstuvwxyz'];
  assert.equal(lastWords(await sh(`echo ${long} ${token}`)), `${long} ***`, 'what is cut off is masked, too');
});

test('an input that nobody reads is no trouble', async () => {
  const end = await sh('exec 0<&-; echo done', { input: 'x'.repeat(4 * 1024 * 1024) });
  assert.equal(end.type === 'exited' && end.code, 0);
});

test('of much output the end is kept', async () => {
  const end = await sh('yes 0123456789 | head -c 3000000; echo; echo last', { keepBytes: 1000 });
  assert.equal(end.output.length, 1000);
  assert.equal(lastWords(end), 'last');
});

test('arguments reach the program as they are', async (t) => {
  const odd = ['$(touch no)', '`id`', "'", '* ;&|'];
  const cwd = tempDir(t);
  const print = 'process.stdout.write(JSON.stringify(process.argv.slice(1)))';
  const end = await runChild({
    argv: [process.execPath, '-e', print, ...odd],
    ...{ cwd, env, timeoutMs: 30_000 },
  });
  assert.deepEqual(JSON.parse(end.output), odd);
  assert.ok(!existsSync(path.join(cwd, 'no')));
});

test('what cannot be started is an end like any other', async () => {
  const end = (argv: readonly [string, ...string[]]): Promise<ChildEnd> =>
    runChild({ argv, cwd: '/', env, timeoutMs: 1000 });
  assert.match(
    endWords(await end(['./no-such-program'])),
    /could not be started: \.\/no-such-program was not found/,
  );
  assert.match(endWords(await end(['/etc/passwd'])), /could not be started/);
  assert.match(endWords(await end([''])), /could not be started/);
  assert.match(endWords(await end(['echo', 'x'.repeat(10_000_000)])), /could not be started/);
  assert.equal(
    endWords(await sh('true', { cwd: '/no/such/folder' })),
    'it could not be started: the working directory /no/such/folder is gone',
  );
});

test('at its time limit the whole group ends, also who ignores SIGTERM', async (t) => {
  const { file, read } = pidIn(t);
  const script = `sh -c 'trap "" TERM; echo $$ > "$0"; while :; do sleep 1; done' ${file} & wait`;
  const began = sh(script, { timeoutMs: 1500 });
  const pid = await read();
  const end = await began;
  assert.equal(end.type, 'timed-out');
  assert.match(endWords(end), /no end within 1\.5 s/);
  await eventually(() => !processAlive(pid), 'the end of what ignores SIGTERM');
});

test('who ignores SIGTERM itself is killed after its grace', async () => {
  const end = await sh('trap "" TERM; while :; do sleep 0.05; done', { timeoutMs: 100, graceMs: 100 });
  assert.equal(end.type, 'timed-out');
});

test('who does not end by SIGKILL is left behind', async (t) => {
  const { file, read } = pidIn(t);
  // no signal reaches it, as with another user's process
  const { mock } = t.mock.method(process, 'kill', () => true);
  const script = `echo $$ > ${file}; exec sleep 600`;
  const gone = new AbortController();
  const began = [
    sh(script, { timeoutMs: 100, graceMs: 100 }),
    sh('exec sleep 600', { signal: gone.signal, graceMs: 100 }),
  ] as const;
  gone.abort();
  const [late, aborted] = await Promise.all(began);
  mock.restore();
  const pid = await read();
  assert.deepEqual([late.type, late.left], ['timed-out', pid]);
  assert.match(endWords(late), /^no end within 0\.1 s; SIGKILL did not end it, so pid \d+ is left behind$/);
  assert.equal(aborted.type, 'aborted');
  for (const { left = 0 } of [late, aborted]) {
    assert.ok(processAlive(left));
    process.kill(left, 'SIGKILL');
  }
});

test('once nobody waits, who is in its grace after its time limit gets less of it', async (t) => {
  const { file, read } = pidIn(t);
  const gone = new AbortController();
  const script = `trap "echo $$ > ${file}" TERM; while :; do sleep 0.05; done`;
  // it has its trap by then
  const began = sh(script, { timeoutMs: 1500, graceMs: 600_000, signal: gone.signal });
  await read();
  gone.abort();
  assert.equal((await began).type, 'timed-out');
});

test('it ends when nobody waits for it any more', async (t) => {
  const { file, read } = pidIn(t);
  const gone = new AbortController();
  const began = sh(`echo $$ > ${file}; exec sleep 600`, { signal: gone.signal });
  const pid = await read();
  gone.abort();
  assert.equal((await began).type, 'aborted');
  assert.ok(!processAlive(pid));
  assert.equal((await sh('exit 0', { signal: gone.signal })).type, 'aborted');
});

test('what it leaves in the background, with its output open, is neither waited for nor ended', async (t) => {
  const { file, read } = pidIn(t);
  const end = await sh(`sh -c 'echo $$ > ${file}; exec sleep 600' & echo said; exit 0`);
  assert.equal(end.type === 'exited' && end.code, 0);
  assert.match(end.output, /said/);
  const pid = await read();
  assert.ok(processAlive(pid));
  process.kill(pid, 'SIGKILL');
});

test('a command that is killed says by what', async () => {
  assert.equal(endWords(await sh('kill -9 $$')), 'SIGKILL');
});

test('the log has a line a call and what it wrote, without secrets', async (t) => {
  const file = path.join(tempDir(t), 'hooks.log');
  const log = openChildrenLog(file, () => 0);
  assert.ok(!existsSync(file));
  log.add(
    'onFailure',
    ['tell', '--token', 'abc'],
    await sh('echo HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz; exit 2'),
  );
  log.close();
  const text = readFileSync(file, 'utf8');
  assert.match(
    text,
    /^=== 1970-01-01T00:00:00\.000Z onFailure: exit 2 after \d+ ms: tell --token \*\*\*\nHF_TOKEN=\*\*\*\n$/,
  );
});
