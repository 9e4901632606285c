import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { files } from '../../src/util/os/durable.js';
import { liveClaims } from '../../src/util/os/lock-claims.js';
import { type LockOwner, thisOwner } from '../../src/util/os/lock-owner.js';
import { ask, openShortDir } from '../../src/util/os/lock-socket.js';
import { acquireLock, type Lock, type LockRequest, probeLock } from '../../src/util/os/lock.js';
import { Holder } from './holder.js';

let base: string;
let holders: Holder[] = [];
let locks: Lock[] = [];

beforeEach(async () => {
  base = await fs.realpath(await fs.mkdtemp(path.join(os.tmpdir(), 'tg-lock-')));
});
afterEach(async () => {
  mock.restoreAll();
  await Promise.all(holders.map((holder) => holder.kill()));
  await Promise.all(locks.map((lock) => lock.release()));
  holders = [];
  locks = [];
  await fs.rm(base, { recursive: true });
});

const holder = async (): Promise<Holder> => {
  const one = await Holder.start();
  holders.push(one);
  return one;
};

async function folder(name: string): Promise<string> {
  const dir = path.join(base, name);
  await fs.mkdir(dir, { recursive: true });
  return dir;
}

const ofRun = (dir: string, run = 'train'): LockRequest => ({ kind: 'run', run, dir, keepIn: dir });
const ofCheckpoints = (dir: string, run = 'train'): LockRequest => ({
  kind: 'checkpoints',
  run,
  dir,
  keepIn: path.join(path.dirname(dir), `.${path.basename(dir)}.trainguard`),
  registry: path.join(base, 'registry'),
});

async function take(request: LockRequest): Promise<Lock> {
  const result = await acquireLock(request);
  assert.ok(result.ok, result.ok ? '' : result.error.message);
  locks.push(result.value);
  return result.value;
}

async function refusal(request: LockRequest): Promise<string> {
  const result = await acquireLock(request);
  assert.ok(!result.ok, 'the lock was given');
  assert.equal(result.error.exit, 75);
  return result.error.message;
}

test('the loser learns who holds the run, and the folder is free once it is given back', async () => {
  const dir = await folder('run');
  const other = await holder();
  assert.equal((await other.acquire(ofRun(dir))).won, true);
  const message = await refusal(ofRun(dir));
  assert.match(message, /^run train is already supervised by pid \d+ on host .+ since \d{4}-/);
  assert.ok(message.includes(`pid ${other.pid} `) && message.includes(os.hostname()), message);
  assert.equal((await probeLock({ dir, keepIn: dir }))?.owner?.pid, other.pid);
  await other.release();
  assert.equal(await probeLock({ dir, keepIn: dir }), undefined);
  assert.deepEqual(await fs.readdir(path.join(dir, 'lock')), []);
  await take(ofRun(dir));
});

test('of a folder that was deleted and made again, its holder takes the lock again, unless another was faster', async () => {
  const dir = await folder('run');
  const other = await holder();
  const { mode } = await fs.stat(dir);
  const anew = async (): Promise<void> => {
    await fs.rm(dir, { recursive: true });
    await fs.mkdir(dir, { mode });
  };
  const lock = await take(ofRun(dir));
  assert.ok((await lock.retake()).ok, 'it is ours as it is');
  for (let round = 0; round < 2; round++) {
    await anew();
    assert.ok((await lock.retake()).ok);
    for (const way of ['usual', 'no-abstract'] as const) {
      const said = await other.acquire(ofRun(dir), way);
      assert.equal(said.exit, 75, `${way}: ${JSON.stringify(said)}`);
      assert.ok(said.message?.includes(`pid ${process.pid} `), said.message);
    }
    assert.equal((await fs.readdir(path.join(dir, 'lock'))).length, 2, 'a claim and its socket');
  }
  // only its claim was deleted
  await fs.rm(path.join(dir, 'lock'), { recursive: true });
  assert.ok((await lock.retake()).ok);
  assert.equal((await other.acquire(ofRun(dir), 'no-abstract')).exit, 75);

  await anew();
  // on some file systems the new folder bears the deleted one's inode number, and is locked all the while
  const said = await other.acquire(ofRun(dir), 'no-abstract');
  assert.equal(said.won, true, said.message);
  const lost = await lock.retake();
  assert.equal(!lost.ok && lost.error.exit, 75);
  assert.ok(!lost.ok && lost.error.message.includes(`pid ${other.pid} `));
  await other.release();
  assert.ok((await lock.retake()).ok);
  await lock.release();
  assert.deepEqual(await fs.readdir(path.join(dir, 'lock')), []);
  assert.equal((await other.acquire(ofRun(dir))).won, true);
});

test('another path to the same folder is the same folder', async () => {
  const dir = await folder('run');
  await fs.symlink(dir, path.join(base, 'alias'));
  await take(ofRun(dir));
  await refusal(ofRun(path.join(base, 'alias')));
});

test('it is free the instant a killed holder is dead', async () => {
  const dir = await folder('run');
  let waiting = await holder();
  for (const mode of ['usual', 'no-abstract'] as const) {
    const one = waiting;
    waiting = await holder();
    assert.equal((await one.acquire(ofRun(dir), mode)).won, true);
    assert.equal((await waiting.acquire(ofRun(dir), mode)).won, false);
    await one.kill();
    assert.equal((await waiting.acquire(ofRun(dir), mode)).won, true);
    await waiting.release();
  }
  assert.equal((await waiting.acquire(ofRun(dir))).won, true);
  await waiting.kill();
  await take(ofRun(dir));
  // what the killed left is swept: a claim and its socket are ours
  assert.equal((await fs.readdir(path.join(dir, 'lock'))).length, 2);
});

test('of many at the same instant exactly one wins', async () => {
  const dir = await folder('run');
  const crowd = await Promise.all(Array.from({ length: 22 }, () => holder()));
  for (const mode of ['usual', 'no-abstract', 'no-abstract', 'usual'] as const) {
    const said = await Promise.all(crowd.map((one) => one.acquire(ofRun(dir), mode)));
    const winners = crowd.filter((_, i) => said[i]?.won);
    assert.equal(winners.length, 1, `${mode}: ${winners.length} winners; ${JSON.stringify(said)}`);
    const [winner] = winners;
    for (const { won, exit, message } of said.filter(({ won }) => !won)) {
      assert.deepEqual([won, exit], [false, 75]);
      assert.ok(message?.includes(`pid ${winner!.pid} `), message);
    }
    // the next crowd meets a corpse's leftovers
    await winner!.kill();
    crowd.splice(crowd.indexOf(winner!), 1);
  }
});

test('a stopped holder still holds, and is named by its claim file', async () => {
  const dir = await folder('run');
  const other = await holder();
  await other.acquire(ofRun(dir));
  await other.kill('SIGSTOP');
  assert.match(await refusal(ofRun(dir)), new RegExp(`pid ${other.pid} `));
});

test('the same process cannot take a folder twice', async () => {
  const dir = await folder('run');
  await take(ofRun(dir));
  assert.match(await refusal(ofRun(dir)), new RegExp(`pid ${process.pid} `));
});

test('long paths with a common prefix are different folders, and their sockets can be asked', async () => {
  const long = path.join('x'.repeat(120), 'y'.repeat(120));
  const [one, two] = [await folder(path.join(long, 'a')), await folder(path.join(long, 'b'))];
  await take(ofRun(one, 'a'));
  await take(ofRun(two, 'b'));
  const away = await holder();
  assert.match((await away.acquire(ofRun(one), 'no-abstract')).message ?? '', /run a is already supervised/);
  const short = await openShortDir(path.join(two, 'lock'));
  const [sock] = (await fs.readdir(path.join(two, 'lock'))).filter((name) => name.endsWith('.sock'));
  const answer = await ask(short.address(sock ?? ''));
  assert.equal(answer.type === 'claim' && answer.claim.owner.run, 'b');
  await short.close();
});

const claimOf = (dir: string): string => path.join(dir, 'lock', '00000000000000ff.json');

/** A claim as a holder would have left it that nobody here can ask. */
async function leaveClaim(
  dir: string,
  ageMs: number,
  owner: Partial<LockOwner> = {},
  socket = true,
): Promise<string> {
  const away = { run: 'train', kind: 'run', dir, host: 'node17', bootId: 'another', pid: 4242 };
  const file = claimOf(dir);
  await fs.mkdir(path.dirname(file), { recursive: true });
  const claim = { schemaVersion: 1, id: '00000000000000ff', state: 'held', socket };
  await fs.writeFile(file, JSON.stringify({ ...claim, owner: { ...away, at: 1_700_000_000_000, ...owner } }));
  const at = (Date.now() - ageMs) / 1000;
  await fs.utimes(file, at, at);
  return file;
}

/** A live process of this host, as its claim names it. */
const alive = (dir: string): LockOwner => thisOwner({ run: 'train', kind: 'run', dir }, Date.now());

test('from another host a claim counts while it is fresher than two minutes', async () => {
  const dir = await folder('run');
  const file = await leaveClaim(dir, 90_000);
  assert.match(await refusal(ofRun(dir)), /pid 4242 on host node17 since 2023-.*try again in 2 minutes/);
  assert.equal((await probeLock({ dir, keepIn: dir }))?.owner?.host, 'node17');
  await leaveClaim(dir, 130_000);
  await take(ofRun(dir));
  await assert.rejects(fs.stat(file), { code: 'ENOENT' });
});

test('a claim that cannot be read is not taken for a dead one while it is fresh', async () => {
  const dir = await folder('run');
  const file = await leaveClaim(dir, 0);
  await fs.writeFile(file, 'garbage');
  assert.match(await refusal(ofRun(dir)), /locked by a process that does not answer/);
});

test('what another host wrote counts no longer once the clock of the files has jumped hours back', async () => {
  const dir = await folder('run');
  await leaveClaim(dir, -3 * 3_600_000);
  await take(ofRun(dir));
});

test('a host that was restarted holds nothing of what it held before', async () => {
  const dir = await folder('run');
  const sinceBoot = os.uptime() * 1000;
  // fresh, but from before: as if this boot had begun a moment ago
  mock.method(os, 'uptime', () => 5);
  await leaveClaim(dir, 20_000, { host: os.hostname() });
  assert.equal(await probeLock({ dir, keepIn: dir }), undefined);
  await take(ofRun(dir));
  mock.restoreAll();
  // another boot that wrote since ours began is another host of our name
  const other = await folder('other');
  await leaveClaim(other, Math.min(20_000, sinceBoot / 2), { host: os.hostname() });
  assert.match(await refusal(ofRun(other)), /pid 4242 on host/);
});

test('without a socket to ask, pid and start time tell whether the holder lives', async () => {
  const dir = await folder('run');
  const holder = alive(dir);
  const keep = (owner: LockOwner): Promise<string> => leaveClaim(dir, 0, owner, false);
  await keep(holder);
  assert.match(await refusal(ofRun(dir)), new RegExp(`pid ${process.pid} `));
  // its pid is used again by a process that started at another time
  await keep({ ...holder, pidStart: '1' });
  assert.equal(await probeLock({ dir, keepIn: dir }), undefined);
  await (await take(ofRun(dir))).release();
  // in another pid namespace that pid says nothing, neither that it lives nor that it does not
  await keep({ ...holder, pidStart: '1', pidNamespace: '1' });
  assert.match(await refusal(ofRun(dir)), new RegExp(`pid ${process.pid} in another pid namespace on host `));
});

test('a holder whose socket was removed still holds', async () => {
  const dir = await folder('run');
  const other = await holder();
  assert.equal((await other.acquire(ofRun(dir), 'no-abstract')).won, true);
  const lock = path.join(dir, 'lock');
  for (const name of await fs.readdir(lock)) if (name.endsWith('.sock')) await fs.rm(path.join(lock, name));
  const mine = await holder();
  assert.match(
    (await mine.acquire(ofRun(dir), 'no-abstract')).message ?? '',
    new RegExp(`pid ${other.pid} `),
  );
  await other.kill();
  assert.equal((await mine.acquire(ofRun(dir), 'no-abstract')).won, true);
});

test('a damaged claim: a live holder is named all the same, a dead one is swept in the end', async () => {
  const dir = await folder('run');
  const other = await holder();
  assert.equal((await other.acquire(ofRun(dir))).won, true);
  const lock = path.join(dir, 'lock');
  const [name] = (await fs.readdir(lock)).filter((entry) => entry.endsWith('.json'));
  for (const text of ['', '{"id":', '{"id":"x","owner":{"pid":1}}']) {
    await fs.writeFile(path.join(lock, name!), text);
    assert.match(await refusal(ofRun(dir)), new RegExp(`pid ${other.pid} `));
  }
  await other.kill();
  const old = Date.now() / 1000 - 130;
  await fs.utimes(path.join(lock, name!), old, old);
  await take(ofRun(dir));
  await assert.rejects(fs.stat(path.join(lock, name!)), { code: 'ENOENT' });
});

test('the holder keeps its claim fresh for other hosts, and says when it cannot', async () => {
  const dir = await folder('run');
  const troubles: string[] = [];
  await take({ ...ofRun(dir), refreshMs: 5, onTrouble: (text) => troubles.push(text) });
  const [name] = (await fs.readdir(path.join(dir, 'lock'))).filter((entry) => entry.endsWith('.json'));
  const file = path.join(dir, 'lock', name ?? '');
  const old = Date.now() / 1000 - 600;
  await fs.utimes(file, old, old);
  await until(async () => Date.now() - (await fs.stat(file)).mtimeMs < 60_000);
  mock.method(files, 'open', () =>
    Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })),
  );
  await until(() => troubles.length > 0);
  assert.match(troubles[0] ?? '', /other hosts may take .* \(EIO/);
  assert.equal(troubles.length, 1);
});

async function until(fact: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 5000; !(await fact());) {
    assert.ok(Date.now() < end, `never true: ${fact.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

for (const mode of ['usual', 'no-abstract'] as const) {
  test(`checkpoint folders within each other cannot be used by two runs (${mode})`, async () => {
    const outer = await folder('ckpts');
    const inner = await folder('ckpts/deep/inner');
    const sibling = await folder('ckpts-2');
    const other = await holder();
    assert.equal((await other.acquire(ofCheckpoints(outer, 'first'), mode)).won, true);
    const mine = await holder();
    const said = await mine.acquire(ofCheckpoints(inner, 'second'), mode);
    assert.equal(said.exit, 75);
    assert.match(said.message ?? '', /inner and .*ckpts overlap, which is in use by run first \(pid/);
    await assert.rejects(fs.stat(path.join(path.dirname(inner), '.inner.trainguard')), { code: 'ENOENT' });
    assert.equal((await mine.acquire(ofCheckpoints(sibling, 'second'), mode)).won, true);
    await mine.release();
    await other.kill();
    assert.equal((await mine.acquire(ofCheckpoints(inner, 'second'), mode)).won, true);
    const third = await holder();
    assert.match((await third.acquire(ofCheckpoints(outer), mode)).message ?? '', /in use by run second/);
    // only the live one is listed
    assert.equal((await fs.readdir(path.join(base, 'registry'))).length, 1);
  });
}

test('of two that ask for nested folders at the same instant exactly one wins', async () => {
  const outer = await folder('ckpts');
  const inner = await folder('ckpts/inner');
  const crowd = await Promise.all(Array.from({ length: 6 }, () => holder()));
  for (let round = 0; round < 3; round++) {
    const said = await Promise.all(
      crowd.map((one, i) => one.acquire(ofCheckpoints(i % 2 === 0 ? outer : inner))),
    );
    const winners = crowd.filter((_, i) => said[i]?.won);
    assert.equal(winners.length, 1, JSON.stringify(said));
    await winners[0]!.release();
  }
});

test('one run may use folders within each other', async () => {
  await take(ofCheckpoints(await folder('ckpts')));
  await take(ofCheckpoints(await folder('ckpts/inner')));
});

test('a full disk: one sentence, nothing left behind, nothing held', async () => {
  const dir = await folder('run');
  mock.method(files, 'open', () =>
    Promise.reject(Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })),
  );
  const result = await acquireLock(ofRun(dir));
  assert.ok(!result.ok);
  assert.equal(result.error.exit, 78);
  assert.equal(result.error.code, 'ENOSPC');
  assert.match(result.error.message, /^cannot lock .*no space left.*free some space/);
  mock.restoreAll();
  assert.deepEqual(await fs.readdir(dir), []);
  assert.deepEqual(await liveClaims(path.join(dir, 'lock'), Date.now(), false), []);
  await take(ofRun(dir));
});
