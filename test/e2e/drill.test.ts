import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { type DrillAnswer, drillCases, type DrillCase, drillWords } from '../support/drills.js';
import { eventually } from '../support/eventually.js';
import { processAlive } from '../support/process-alive.js';
import { pythonPath } from '../support/python.js';
import { runCli } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';
import { treeOf } from './kit.js';

// all ten and more: test/chaos/drills.mjs
const chosen = (script: string, cause: string): DrillCase => {
  const found = drillCases.find((one) => one.script === script && one.cause === cause);
  assert.ok(found);
  return found;
};

describe('drill', { concurrency: 2 }, () => {
  for (const one of [
    chosen('by_flag.py', 'resumed'),
    chosen('in_place.py', 'resumed'),
    chosen('by_flag.py', 'flag-missing'),
  ]) {
    test(`${one.script}: ${one.cause}; its own folder stays as it is`, async (t) => {
      const cwd = tempDir(t);
      for (const dir of ['out', 'checkpoints']) {
        mkdirSync(path.join(cwd, dir));
        for (const name of ['checkpoint-10.json', 'checkpoint.json', 'notes.txt']) {
          writeFileSync(path.join(cwd, dir, name), '{"step": 10, "weight": 0.9}');
          utimesSync(path.join(cwd, dir, name), 1e9, 1e9);
        }
      }
      const before = treeOf(cwd);
      const { code, stdout, stderr } = await runCli(t, drillWords(one), { cwd }).done;
      const answer = JSON.parse(stdout) as DrillAnswer;
      assert.equal(answer.cause, one.cause, `${stdout}\n${stderr}`);
      assert.equal(code, one.proven ? 0 : 1);
      assert.match(answer.advice.join('\n'), one.advice);
      assert.equal(answer.attempts[0]?.firstStep, 1);
      const step = answer.checkpoint?.step ?? 0;
      if (one.proven) assert.ok((answer.attempts[1]?.firstStep ?? 0) >= step && step > 1, stdout);
      assert.deepEqual(treeOf(cwd), before);
    });
  }

  test('is interrupted: exit 130, the training is gone though it ignores SIGTERM, and so is the scratch folder', async (t) => {
    const cwd = tempDir(t);
    const stubborn = [
      'import os, signal, time',
      'signal.signal(signal.SIGTERM, signal.SIG_IGN)',
      'signal.signal(signal.SIGINT, signal.SIG_IGN)',
      `open(${JSON.stringify(path.join(cwd, 'pid'))}, "w").write(str(os.getpid()) + "\\n")`,
      'time.sleep(600)',
    ].join('\n');
    const drill = runCli(t, ['drill', '--checkpoint-dir', 'ckpts', '--', pythonPath(), '-c', stubborn], {
      cwd,
    });
    const written = await eventually(
      () => /^\d+\n$/.exec(readFileSync(path.join(cwd, 'pid'), 'utf8'))?.[0],
      'the training is there',
    );
    const pid = Number(written);
    drill.kill('SIGINT');
    const { code } = await drill.done;
    assert.equal(code, 130);
    assert.equal(processAlive(pid), false);
    assert.deepEqual(readdirSync(cwd), ['pid']);
  });

  test('refuses a folder that it could not keep the training away from', async (t) => {
    const [cwd, elsewhere] = [tempDir(t), tempDir(t)];
    const { code, stderr } = await runCli(t, ['drill', '--checkpoint-dir', elsewhere, '--', 'sh', '-c', 'exit'], { cwd }).done; // prettier-ignore
    assert.equal(code, 78);
    assert.match(stderr, /does not name its checkpoint folder/);
    assert.deepEqual(readdirSync(elsewhere), []);
  });
});
