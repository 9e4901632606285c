import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { captureLaunch, parseLimits, readLaunch, writeLaunch } from '../../src/runs/launch-record.js';
import { clearRequests, listRequests, requestStop, takeStopRequest } from '../../src/runs/requests.js';
import {
  attemptDirOf,
  createRun,
  defaultStateDir,
  listRuns,
  openRun,
  type Run,
} from '../../src/runs/run-dir.js';
import { files } from '../../src/util/os/durable.js';

let base: string;
let stateDir: string;
beforeEach(async () => {
  base = await fs.mkdtemp(path.join(os.tmpdir(), 'tg-run-'));
  stateDir = path.join(base, 'deep', '.trainguard');
});
afterEach(async () => {
  mock.restoreAll();
  await fs.rm(base, { recursive: true });
});

async function create(name: string): Promise<Run> {
  const result = await createRun(stateDir, name, 1000);
  assert.ok(result.ok, result.ok ? '' : result.error.message);
  return result.value;
}

test('a run is made once, 0700 and 0600, and is the same when opened again', async () => {
  const run = await create('train');
  assert.match(run.id, /^[0-9a-f]{16}$/);
  assert.deepEqual(await openRun(run.dir), { ok: true, value: run });
  for (const folder of [stateDir, run.dir, run.paths.attempts, run.paths.incidents, run.paths.requests]) {
    assert.equal((await fs.stat(folder)).mode & 0o777, 0o700, folder);
  }
  assert.equal((await fs.stat(run.paths.identity)).mode & 0o777, 0o600);
  const { schemaVersion, layoutVersion } = JSON.parse(
    await fs.readFile(run.paths.identity, 'utf8'),
  ) as Run & {
    schemaVersion: number;
  };
  assert.deepEqual([schemaVersion, layoutVersion], [1, 1]);
  const again = await createRun(stateDir, 'train', 2000);
  assert.equal(!again.ok && again.error.code, 'EEXIST');
  assert.deepEqual(await openRun(run.dir), { ok: true, value: run });
});

test('of many that make the same run at once, one does', async () => {
  const all = await Promise.all(Array.from({ length: 10 }, () => createRun(stateDir, 'train', 1)));
  assert.equal(all.filter(({ ok }) => ok).length, 1);
  assert.deepEqual(await fs.readdir(path.join(stateDir, 'runs')), ['train']);
});

test('runs are listed by name, a damaged one with its problem, and a folder that is no run is none', async () => {
  assert.deepEqual(await listRuns(stateDir), { ok: true, value: [] });
  const [b, a] = [await create('b'), await create('a')];
  await fs.mkdir(path.join(stateDir, 'runs', 'junk'));
  await fs.writeFile(b.paths.identity, 'garbage');
  const listed = await listRuns(stateDir);
  assert.ok(listed.ok);
  assert.deepEqual(
    listed.value.map(({ name, run }) => [name, run.ok]),
    [
      ['a', true],
      ['b', false],
    ],
  );
  const [, damaged] = listed.value;
  assert.ok(damaged && !damaged.run.ok);
  assert.match(damaged.run.error.message, /run.json is damaged: it is no JSON; .*move .*b away/);
  assert.equal((await openRun(a.dir)).ok, true);
  assert.deepEqual(await openRun(path.join(stateDir, 'runs', 'junk')), { ok: true, value: undefined });
});

test('a run of a newer version is refused in words', async () => {
  const run = await create('train');
  await fs.writeFile(run.paths.identity, '{"schemaVersion":7}');
  const opened = await openRun(run.dir);
  assert.match(opened.ok ? '' : opened.error.message, /newer trainguard \(schemaVersion 7/);
});

test('a full or unwritable state folder: one sentence, and nothing is left half made', async () => {
  for (const code of ['ENOSPC', 'EACCES'] as const) {
    mock.method(files, 'open', () => Promise.reject(Object.assign(new Error(`${code}: no`), { code })));
    const result = await createRun(stateDir, 'train', 1);
    mock.restoreAll();
    assert.ok(!result.ok);
    assert.equal(result.error.exit, 78);
    assert.equal(result.error.code, code);
    assert.match(result.error.message, /^cannot .*; .*--state-dir$/);
    assert.deepEqual(await fs.readdir(base), []);
  }
  await fs.writeFile(path.join(base, 'deep'), 'a file');
  const result = await createRun(stateDir, 'train', 1);
  assert.match(
    result.ok ? '' : result.error.message,
    /^cannot make the run's folder .*something else stands/,
  );
  assert.deepEqual(await fs.readdir(base), ['deep']);
});

test('places', () => {
  assert.equal(defaultStateDir('/w'), '/w/.trainguard');
  assert.equal(defaultStateDir('/w/sub', '/w/recovery.config.json'), '/w/.trainguard');
  assert.equal(attemptDirOf('/r', 7), '/r/attempts/007');
});

test('the launch record holds the whole circumstances, 0600', async () => {
  const run = await create('train');
  const record = captureLaunch(['python', 'train.py', '--token', 'x']);
  assert.ok((await writeLaunch(run.paths.launch, record)).ok);
  assert.deepEqual(await readLaunch(run.paths.launch), { ok: true, value: record });
  assert.equal((await fs.stat(run.paths.launch)).mode & 0o777, 0o600);
  assert.equal(record.cwd, process.cwd());
  assert.equal(record.env['PATH'], process.env['PATH']);
  if (process.platform === 'linux') {
    const before = process.umask(0o027);
    assert.equal(captureLaunch([]).umask, 0o027);
    process.umask(before);
    assert.ok(record.limits.some(({ name, soft }) => name === 'Max open files' && Number(soft) > 0));
  }
});

test('limits are read whatever their names', () => {
  const text = [
    'Limit                     Soft Limit           Hard Limit           Units     ',
    'Max cpu time              unlimited            unlimited            seconds   ',
    'Max nice priority         0                    5                    ',
    '',
  ].join('\n');
  assert.deepEqual(parseLimits(text), [
    { name: 'Max cpu time', soft: 'unlimited', hard: 'unlimited' },
    { name: 'Max nice priority', soft: '0', hard: '5' },
  ]);
});

test('a stop request is taken once, by whoever polls', async () => {
  const { dir } = await create('train');
  assert.deepEqual(await takeStopRequest(dir, 1), { ok: true, value: undefined });
  const request = { by: 'pid 7 on host a', afterCheckpoint: true, at: 5 };
  assert.ok((await requestStop(dir, { ...request, afterCheckpoint: false })).ok);
  assert.ok((await requestStop(dir, request)).ok);
  const polls = await Promise.all([takeStopRequest(dir, 1), takeStopRequest(dir, 1)]);
  assert.deepEqual(
    polls.map((poll) => poll.ok && poll.value).sort((a) => (a ? -1 : 1)),
    [request, undefined],
  );
  assert.deepEqual(await fs.readdir(path.join(dir, 'requests')), []);
});

test('a bare `touch stop` stops too, and old requests can be forgotten', async () => {
  const { dir } = await create('train');
  await fs.writeFile(path.join(dir, 'requests', 'stop'), '');
  assert.deepEqual(await takeStopRequest(dir, 9), {
    ok: true,
    value: { by: 'a file without a name', afterCheckpoint: false, at: 9 },
  });
  await requestStop(dir, { by: 'x', afterCheckpoint: false, at: 1 });
  const old = await listRequests(dir);
  assert.ok(old.ok && (await clearRequests(dir, old.value)).ok);
  assert.deepEqual(await takeStopRequest(dir, 9), { ok: true, value: undefined });
});

test('a stop asked after the old requests were listed is not forgotten with them', async () => {
  const { dir } = await create('train');
  const request = { by: 'x', afterCheckpoint: false, at: 1 };
  await requestStop(dir, request);
  const old = await listRequests(dir);
  await requestStop(dir, { ...request, at: 2 });
  assert.ok(old.ok && (await clearRequests(dir, old.value)).ok);
  assert.deepEqual(await takeStopRequest(dir, 9), { ok: true, value: { ...request, at: 2 } });
});
