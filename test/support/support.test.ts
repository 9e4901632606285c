import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { atEnd } from './cleanup.js';
import { eventually } from './eventually.js';
import { processAlive, processState } from './process-alive.js';
import { runProgram } from './run-cli.js';
import { tempDir } from './temp-dir.js';

const linux = { skip: process.platform !== 'linux' && 'needs /proc' };

describe('the test helpers', () => {
  test('eventually answers the fact, or says what it waited for and saw last', async () => {
    let looks = 0;
    assert.equal(await eventually(() => (++looks > 2 ? 0 : undefined), 'three looks'), 0);
    await assert.rejects(
      eventually(() => false, 'the moon', 20),
      /^Error: waited 20 ms in vain for: the moon \(last: false\)$/,
    );
    const missing = (): never => {
      throw new Error('nothing there');
    };
    await assert.rejects(eventually(missing, 'it', 20), /last: Error: nothing there/);
  });

  test('a temporary folder goes when its test ends, after what was arranged later', async (t) => {
    const seen: boolean[] = [];
    let dir = '';
    await t.test('inner', (inner) => {
      dir = tempDir(inner);
      writeFileSync(path.join(dir, 'file'), '');
      atEnd(inner, () => void seen.push(existsSync(dir)));
    });
    assert.deepEqual([...seen, existsSync(dir)], [true, false]);
  });

  test('a zombie is not alive', linux, async (t) => {
    // the inner sh stops its parent before it ends, so nobody reaps it
    const script = 'sh -c \'kill -STOP "$PPID"; echo "$$"\' & wait';
    const parent = runProgram(t, ['sh', '-c', script]);
    const [, pid] = await parent.untilStdout(/^(\d+)$/m);
    await eventually(() => processState(Number(pid)) === 'Z', 'a zombie');
    assert.equal(processAlive(Number(pid)), false);
    assert.equal(processAlive(parent.pid), true);
    assert.equal(processState(parent.pid), 'T');
  });

  test('a name with parentheses and spaces does not confuse the state', linux, async (t) => {
    // the `:` keeps sh from becoming the sleep
    const program = runProgram(t, ['sh', '-c', 'printf ") Z (" > /proc/$$/comm; echo renamed; sleep 60; :']);
    await program.untilStdout(/renamed/);
    assert.equal(processAlive(program.pid), true);
  });

  test('a program is fed, watched and ended', async (t) => {
    const program = runProgram(t, ['sh', '-c', 'cat; echo aside >&2; exit 4'], { input: 'fed\n' });
    assert.equal((await program.untilStderr(/as(i)de/))[1], 'i');
    const { code, signal, stdout, stderr } = await program.done;
    assert.deepEqual([code, signal, stdout, stderr], [4, null, 'fed\n', 'aside\n']);
    await assert.rejects(program.untilStdout(/never/), /ended without printing \/never\/ on stdout[^]*fed/);
  });

  test('a program that prints too late or does not end is named, with what it printed', async (t) => {
    const program = runProgram(t, ['sh', '-c', 'echo here; sleep 60'], { timeoutMs: 3000 });
    await assert.rejects(program.untilStderr(/never/, 50), /sh -c [^]* 50 ms without printing \/never\//);
    await assert.rejects(program.done, /did not end within 3000 ms[^]*here/);
    assert.equal(processAlive(program.pid), false);
  });

  test('a program that cannot be started rejects', async (t) => {
    await assert.rejects(runProgram(t, ['./no-such-program']).done, /ENOENT/);
  });

  test('what a program leaves behind is killed when its test ends', linux, async (t) => {
    const pids: number[] = [];
    await t.test('inner', async (inner) => {
      // one without its environment, one in another folder
      const script = 'setsid env -i sleep 61 & echo $!; cd /; setsid sleep 62 & echo $!';
      const program = runProgram(inner, ['sh', '-c', script]);
      await program.untilStdout(/\d+\n\d+\n/);
      pids.push(...program.stdout.trim().split('\n').map(Number));
    });
    assert.equal(pids.length, 2);
    assert.deepEqual(pids.map(processAlive), [false, false]);
    const bystander = spawn('sleep', ['60']);
    await once(bystander, 'spawn');
    t.after(() => bystander.kill());
    await t.test('another', (inner) => void runProgram(inner, ['true']));
    assert.ok(processAlive(bystander.pid!), 'others are let live');
  });
});
