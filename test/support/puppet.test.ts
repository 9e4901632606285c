import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { PuppetStage, type Puppet } from './puppet.js';
import { processAlive, readStat } from './process-alive.js';
import { runProgram, type CliOptions, type Running } from './run-cli.js';
import { tempDir } from './temp-dir.js';

const linux = { skip: process.platform !== 'linux' && 'needs /proc' };

interface Show {
  readonly stage: PuppetStage;
  readonly program: Running;
  readonly puppet: Puppet;
}

async function raise(t: TestContext, options: CliOptions = {}): Promise<Show> {
  const stage = await PuppetStage.create(t);
  const program = runProgram(t, stage.command, options);
  return { stage, program, puppet: await stage.next() };
}

describe('a puppet', () => {
  test('introduces itself', async (t) => {
    const cwd = tempDir(t);
    const { program, puppet } = await raise(t, { cwd, env: { TRAINGUARD_ATTEMPT: '3' } });
    assert.equal(puppet.pid, program.pid);
    assert.equal(puppet.hello.ppid, process.pid);
    assert.equal(puppet.hello.cwd, cwd);
    assert.deepEqual(puppet.hello.env, { TRAINGUARD_ATTEMPT: '3' });
  });

  test('prints what it is given, bytes too, and exits as told', async (t) => {
    const { program, puppet } = await raise(t);
    await puppet.stdout('no end');
    await puppet.stdout(Uint8Array.of(0xe2, 0x82, 0xac, 0x0a));
    await puppet.stderr('aside\n');
    await puppet.exit(3);
    const { code, stdout, stderr } = await program.done;
    assert.deepEqual([code, stdout, stderr], [3, 'no end€\n', 'aside\n']);
    assert.equal(puppet.alive, false);
    await assert.rejects(puppet.stdout('x'), /ended before it did "write"/);
  });

  test('reports the signals it traps, ignores others, and dies by what it is told', async (t) => {
    const { program, puppet } = await raise(t);
    await puppet.trap('SIGTERM');
    await puppet.ignore('SIGINT');
    process.kill(puppet.pid, 'SIGINT');
    process.kill(puppet.pid, 'SIGTERM');
    await puppet.signal('SIGTERM');
    assert.deepEqual(puppet.signals, []);
    await assert.rejects(puppet.signal('SIGTERM', 30), /waited 30 ms in vain for: SIGTERM to reach puppet/);
    await puppet.dieBy('SIGTERM');
    assert.equal((await program.done).signal, 'SIGTERM');
  });

  test('dies by a signal whose default it was given back', async (t) => {
    const { program, puppet } = await raise(t);
    await puppet.trap('SIGHUP');
    await puppet.default('SIGHUP');
    program.kill('SIGHUP');
    assert.equal((await program.done).signal, 'SIGHUP');
  });

  test('works on files', linux, async (t) => {
    const cwd = tempDir(t);
    const { puppet } = await raise(t, { cwd });
    await puppet.writeFile('a', 'one');
    await puppet.appendFile('a', ' two');
    await puppet.rename('a', 'b');
    await puppet.truncate('b', 5);
    assert.equal(readFileSync(path.join(cwd, 'b'), 'utf8'), 'one t');
    const open = (): boolean =>
      readdirSync(`/proc/${puppet.pid}/fd`).some(
        (fd) => readlinkSync(`/proc/${puppet.pid}/fd/${fd}`) === path.join(cwd, 'b'),
      );
    await puppet.hold('b');
    assert.ok(open());
    await puppet.release('b');
    assert.ok(!open());
    await assert.rejects(puppet.rename('gone', 'x'), /rename: ENOENT/);
  });

  test(
    'has grandchildren that are puppets, with or without its environment and session',
    linux,
    async (t) => {
      const { program, puppet, stage } = await raise(t, { env: { TRAINGUARD_RUN_ID: 'id' } });
      const near = await puppet.spawn();
      const far = await puppet.spawn({ ownSession: true, scrubEnv: true, stdio: 'ignore' });
      assert.equal(stage.count, 3);
      assert.deepEqual([near.hello.ppid, far.hello.ppid], [puppet.pid, puppet.pid]);
      assert.deepEqual([near.hello.env, far.hello.env], [{ TRAINGUARD_RUN_ID: 'id' }, {}]);
      assert.equal(readStat(far.pid)?.session, far.pid);
      assert.equal(readStat(near.pid)?.session, readStat(process.pid)?.session);
      await near.stdout('from below\n');
      await program.untilStdout(/from below\n/);
      await puppet.exit(0);
      assert.ok(near.alive && far.alive, 'they outlive their parent');
    },
  );

  test('is gone when its test has ended, however stubborn', async (t) => {
    const pids: number[] = [];
    await t.test('inner', async (inner) => {
      const { puppet } = await raise(inner);
      const far = await puppet.spawn({ ownSession: true, scrubEnv: true });
      await far.trap('SIGTERM');
      process.kill(far.pid, 'SIGSTOP');
      pids.push(puppet.pid, far.pid);
    });
    assert.equal(pids.length, 2);
    assert.deepEqual(pids.map(processAlive), [false, false]);
  });
});
