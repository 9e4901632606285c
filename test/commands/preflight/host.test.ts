import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { parseListeners } from '../../../src/commands/preflight/holder.js';
import { isAddressInUse, meetingPort } from '../../../src/commands/preflight/port.js';
import { lackingMemory } from '../../../src/engines/local/room.js';
import type { HostAnswer } from '../../../src/supervisor/parts.js';
import { atEnd } from '../../support/cleanup.js';
import { tempDir } from '../../support/temp-dir.js';
import { failureOf, scene } from './kit.js';

const ready = { type: 'ready' };
const wordsOf = (answer: HostAnswer): string => (answer.type === 'wait' ? answer.for : `(${answer.type})`);

/** A port that this process listens on. */
async function occupied(
  t: TestContext,
  host = '127.0.0.1',
): Promise<{ port: number; readonly leave: () => Promise<void> }> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const leave = (): Promise<void> => new Promise((resolve) => void server.close(() => resolve()));
  atEnd(t, leave);
  return { port: (server.address() as net.AddressInfo).port, leave };
}

describe('disk', () => {
  test('room for one more checkpoint, before a start too', async (t) => {
    const dir = tempDir(t);
    const { ask } = scene(t, { checkpointDirs: [dir] });
    assert.deepEqual(await ask(undefined, 0, { saveBytes: 1024 }), ready);
    const answer = await ask(undefined, 0, { saveBytes: 2 ** 60 });
    assert.match(wordsOf(answer), /^1024\.0 PiB of free space for the checkpoint folder .* \(.* there\)$/);
  });

  test('a full table of files, though there is space', async (t) => {
    const dir = path.join(tempDir(t), 'small');
    mkdirSync(dir);
    const options = ['-t', 'tmpfs', '-o', 'size=64m,nr_inodes=20', 'tmpfs', dir];
    if (spawnSync('mount', options).status !== 0) {
      t.skip('a tmpfs cannot be mounted here');
      return;
    }
    atEnd(t, () => void spawnSync('umount', ['-l', dir]));
    const { ask } = scene(t, { checkpointDirs: [dir] });
    assert.deepEqual(await ask('storage'), ready);
    for (let n = 0; n < 10; n++) writeFileSync(path.join(dir, String(n)), '');
    assert.match(
      wordsOf(await ask('storage')),
      /^room for more files on the disk of the checkpoint folder .* \(\d+ of 20 inodes are free, though there is space; remove some\)$/,
    );
    for (let n = 0; n < 10; n++) rmSync(path.join(dir, String(n)));
    assert.deepEqual(await ask('storage'), ready);
  });

  test('a folder that cannot be written', async (t) => {
    const dir = path.join(tempDir(t), 'ro');
    mkdirSync(dir);
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', dir]).status !== 0) {
      t.skip('a tmpfs cannot be mounted here');
      return;
    }
    atEnd(t, () => void spawnSync('umount', ['-l', dir]));
    const { ask } = scene(t, { checkpointDirs: [dir] });
    assert.match(wordsOf(await ask('storage')), /^the checkpoint folder .*\/ro to be writable again \(EROFS/);
    assert.deepEqual(await ask('exception'), ready, 'nothing says that the disk is to blame');
    const away = scene(t, { checkpointDirs: [path.join(dir, 'none')] });
    assert.deepEqual(await away.ask('code'), ready, 'the training makes its folder itself');
  });
});

test('memory: a quarter of it must be free', () => {
  const GiB = 1024 ** 3;
  assert.equal(lackingMemory(undefined), undefined);
  assert.equal(lackingMemory({ limitBytes: 32 * GiB, usedBytes: 24 * GiB }), undefined);
  assert.equal(
    lackingMemory({ limitBytes: 32 * GiB, usedBytes: 30 * GiB })?.words,
    '8.0 GiB of free memory (2.0 GiB of 32.0 GiB are free)',
  );
});

describe('port', () => {
  const failure = failureOf('network', 'OSError: [Errno 98] Address already in use');

  test('one in the environment that somebody else holds is replaced, said aloud', async (t) => {
    const { port, leave } = await occupied(t);
    const { ask, notices } = scene(t, { env: { MASTER_PORT: String(port) } });
    assert.deepEqual(await ask('network'), ready, 'it was not the port');
    const answer = await ask('network', 0, { failure });
    assert.equal(answer.type, 'ready');
    const other = (answer as { env?: Record<string, string> }).env?.['MASTER_PORT'];
    assert.match(other ?? '', /^\d+$/);
    assert.notEqual(other, String(port));
    assert.equal(notices.length, 1);
    assert.match(
      notices[0] ?? '',
      new RegExp(
        `^port ${port} \\(MASTER_PORT\\) is held by \\S+ \\(pid ${process.pid}, of \\S+\\); the next attempt gets MASTER_PORT=${other}$`,
      ),
    );
    assert.equal((await ask('exception')).type, 'ready');
    assert.equal(notices.length, 2, 'it is looked at before every later retry');
    await leave();
    assert.deepEqual(await ask('network', 0, { failure }), ready, 'it is free again');
  });

  test('one that stands in the command is waited for, and who holds it is named', async (t) => {
    const { port, leave } = await occupied(t, '0.0.0.0');
    const { ask } = scene(t, { argv: ['torchrun', `--master_port=${port}`, 'train.py'] });
    const words = wordsOf(await ask('network', 0, { failure }));
    assert.match(words, new RegExp(`^port ${port} \\(--master_port of the command\\), which is held by `));
    assert.ok(words.includes(`pid ${process.pid}`));
    await leave();
    assert.deepEqual(await ask('network', 2000, { failure }), ready);
  });

  const torch = 'The server socket has failed to bind to [::]:29500 (errno: 98 - Address already in use).';
  const eaddrinuse =
    'RuntimeError: The server socket has failed to listen on any local network address. port: 29500, useIpv6: 0, code: -98, name: EADDRINUSE, message: address already in use';
  const cases: readonly (readonly [
    string,
    readonly string[],
    Record<string, string>,
    string,
    ReturnType<typeof meetingPort>,
  ])[] = [
    ['the environment', ['python'], { MASTER_PORT: '29511' }, '', { port: 29511, from: 'MASTER_PORT', ours: true }],
    ['of this host', ['python'], { MASTER_PORT: '1234', MASTER_ADDR: 'node7' }, '', { port: 1234, from: 'MASTER_PORT', ours: true }],
    ['of another host', ['python'], { MASTER_PORT: '1234', MASTER_ADDR: 'node8' }, '', undefined],
    ['of several hosts', ['python'], { MASTER_PORT: '1234', SLURM_NNODES: '2' }, '', { port: 1234, from: 'MASTER_PORT', ours: false }],
    ['a flag', ['torchrun', '--master-port', '29512', 'x.py'], { MASTER_PORT: '1' }, '', { port: 29512, from: '--master-port of the command', ours: false }],
    ['of accelerate', ['accelerate', 'launch', '--main_process_port=29513'], {}, '', { port: 29513, from: '--main_process_port of the command', ours: false }],
    ['an endpoint', ['torchrun', '--rdzv-endpoint=localhost:29514'], {}, '', { port: 29514, from: '--rdzv-endpoint of the command', ours: false }],
    ['an endpoint elsewhere', ['torchrun', '--rdzv_endpoint', 'node8:29514'], {}, '', undefined],
    ['any that is free', ['torchrun', '--rdzv_endpoint', 'localhost:0'], {}, '', undefined],
    ['the log of torch', ['torchrun', 'x.py'], {}, torch, { port: 29500, from: 'the port in its log', ours: false }],
    ['the log of an older torch', ['torchrun', 'x.py'], {}, eaddrinuse, { port: 29500, from: 'the port in its log', ours: false }],
    ['a log line of a source', ['torchrun', 'x.py'], {}, `[W1122 09:14:03.123456789 socket.cpp:1019] [c10d] ${torch}`, { port: 29500, from: 'the port in its log', ours: false }],
    ['an address of Python', ['python'], {}, "bind on address ('0.0.0.0', 8265): address already in use (serve.py:1240)", { port: 8265, from: 'the port in its log', ours: false }],
    ['a host', ['python'], {}, 'run.py:1240: 127.0.0.1:29515: Address already in use', { port: 29515, from: 'the port in its log', ours: false }],
    ['a line of a script', ['python'], {}, 'OSError: [Errno 98] Address already in use (train.py:1240)', undefined],
    ['nowhere', ['python'], {}, 'OSError: [Errno 98] Address already in use', undefined],
  ]; // prettier-ignore
  for (const [name, argv, env, text, expected] of cases) {
    test(`where it is named: ${name}`, () => {
      const isLocal = (host: string): boolean => host === 'localhost' || host === 'node7';
      assert.deepEqual(meetingPort(argv, env, failureOf('network', text), isLocal), expected);
    });
  }

  test('what says that an address is in use', () => {
    for (const text of [torch, eaddrinuse]) assert.ok(isAddressInUse(failureOf('network', text)), text);
    assert.ok(!isAddressInUse(failureOf('network', 'Connection refused')));
  });

  test('listeners by the text of /proc/net/tcp', () => {
    const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:733C 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 57001 1 0000000000000000 100 0 0 10 0
   1: 0100007F:733C 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 57002 1 0000000000000000 20 4 30 10 -1
`;
    assert.deepEqual(parseListeners(text, 29500), [57001]);
    assert.deepEqual(parseListeners(text, 40000), []);
  });
});

describe("the user's own checks", () => {
  test('one that can never be called is said once, and not waited for', async (t) => {
    const check = { argv: ['true', 'x'.repeat(4 * 1024 * 1024)], timeoutMs: 30_000 } as const;
    const { ask, notices } = scene(t, { checks: [check] });
    assert.deepEqual(await ask('exception'), ready);
    assert.deepEqual(await ask('exception', 20_000), ready);
    assert.equal(notices.length, 1);
    assert.match(notices[0] ?? '', /^the preflight check "true x+" counts as passed, .*E2BIG/);
  });

  test('one that fails is asked again, ever more seldom, until it passes', async (t) => {
    const { ask, dir } = scene(t, {
      checks: ['echo x >> calls; test -e go || { echo node 3 is draining; exit 1; }'],
    });
    const calls = (): number => readFileSync(path.join(dir, 'calls'), 'utf8').length / 2;
    const answer = await ask('exception');
    assert.match(
      wordsOf(answer),
      /^the preflight check "sh -c echo x .*" to pass \(exit 1: node 3 is draining\)$/,
    );
    assert.deepEqual(await ask('exception', 500), answer);
    assert.equal(calls(), 1);
    await ask('exception', 2000);
    assert.equal(calls(), 2);
    await ask('exception', 3000);
    assert.equal(calls(), 2);
    for (const waitedMs of [4000, 8000, 16_000]) await ask('exception', waitedMs);
    assert.equal(calls(), 5);
    writeFileSync(path.join(dir, 'go'), '');
    assert.deepEqual(await ask('exception', 20_000), answer, 'ten seconds at most');
    assert.deepEqual(await ask('exception', 26_000), ready);
    assert.deepEqual(await ask(undefined), ready);
    assert.equal(calls(), 6, 'not before a start');
    assert.match(
      readFileSync(path.join(dir, 'preflight.log'), 'utf8'),
      /preflight: exit 1 .*\nnode 3 is draining\n/,
    );
  });

  test('one that has passed is not called at every look while something else is waited for', async (t) => {
    const { port } = await occupied(t);
    const argv = ['torchrun', `--master-port=${port}`, 'train.py'];
    const { ask, dir } = scene(t, { argv, checks: ['echo x >> calls'] });
    const failure = failureOf('network', 'Address already in use');
    for (const waitedMs of [0, 2000, 4000]) {
      assert.match(wordsOf(await ask('network', waitedMs, { failure })), /^port /);
    }
    assert.equal(readFileSync(path.join(dir, 'calls'), 'utf8'), 'x\n');
  });

  test('the first that does not pass is the one that is waited for', async (t) => {
    const { ask, dir } = scene(t, { checks: ['true', 'exit 3', 'touch no'] });
    assert.match(wordsOf(await ask('exception')), /"sh -c exit 3" to pass \(exit 3\)/);
    assert.ok(!existsSync(path.join(dir, 'no')));
  });

  test('exit 125 says that no waiting helps', async (t) => {
    const { ask } = scene(t, { checks: ['echo the data set is gone; exit 125'] });
    assert.deepEqual(await ask('exception'), {
      type: 'never',
      why: 'the preflight check "sh -c echo the data set is gone; exit 125" says that the failure is permanent (exit 125): the data set is gone',
    });
  });

  test('one that takes long is what is waited for, and is not called twice', async (t) => {
    const checks = ['echo x >> calls; while ! test -e go; do sleep 0.05; done'];
    const { ask, askOnce, dir } = scene(t, { checks });
    assert.equal(wordsOf(await askOnce('exception')), 'the preflight checks to end');
    writeFileSync(path.join(dir, 'go'), '');
    assert.deepEqual(await ask('exception', 2000), ready);
    assert.equal(readFileSync(path.join(dir, 'calls'), 'utf8'), 'x\n');
  });

  test('one that does not end within its time, and one that is not there', async (t) => {
    const { ask } = scene(t, { checks: [{ argv: ['sleep', '600'], timeoutMs: 100 }] });
    assert.match(wordsOf(await ask('exception')), /"sleep 600" to pass \(no end within 0\.1 s\)/);
    const none = scene(t, { checks: [{ argv: ['./none'], timeoutMs: 100 }] });
    assert.match(
      wordsOf(await none.ask('exception')),
      /"\.\/none" to pass \(it could not be started: \.\/none was not found\)/,
    );
  });

  test('it ends with the run', async (t) => {
    const { askOnce, close } = scene(t, { checks: [{ argv: ['sleep', '600'], timeoutMs: 600_000 }] });
    const over = new AbortController();
    await askOnce('exception', 0, { signal: over.signal });
    over.abort();
    await close();
  });

  test('the words stay the same while only figures change', async (t) => {
    const { ask } = scene(t, { checks: ['date +%N; exit 1'] });
    const first = await ask('exception');
    assert.deepEqual(await ask('exception', 2000), first);
    assert.notDeepEqual(await ask('exception', 62_000), first);
  });
});
