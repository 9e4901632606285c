import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'; // prettier-ignore
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { runDigits } from '../support/digits.js';
import { eventually } from '../support/eventually.js';
import { PuppetStage } from '../support/puppet.js';
import { tempDir } from '../support/temp-dir.js';
import { checkpointsIn, digestInPeace, digestThrough, digits, guard, kindsOf, quarantineOf, summaryOf } from './kit.js'; // prettier-ignore

const LENGTH = ['--steps', '40', '--save-every', '10'] as const;
/** The first attempt ends with a whole checkpoint, the second tears its only one. */
const FAULT = 'crash@step=25;torn@step=30,attempt=1';

describe('a trainer that tears the only checkpoint that it keeps', { concurrency: 2 }, () => {
  const inPeace = { digest: '' };
  before(async (t) => {
    inPeace.digest = await digestInPeace({ after: () => undefined, ...t }, ...LENGTH);
  });

  const ways = [
    { how: 'hard-link tree', args: ['--layout', 'folder', '--keep', '1'], name: 'checkpoint-20', torn: 'checkpoint-30' },
    { how: 'snapshot', args: ['--layout', 'in-place'], name: 'ckpt.npz', torn: 'ckpt.npz' },
  ]; // prettier-ignore
  for (const { how, args, name, torn } of ways) {
    test(`gets the one before back from its ${how}, and ends with the same weights`, async (t) => {
      const cwd = tempDir(t);
      const command = digits(...LENGTH, ...args);
      const ended = await guard(t, command, { cwd, json: false, env: { DIGITS_FAULT: FAULT } }).done;
      assert.equal(ended.code, 0, ended.stderr);
      assert.equal(digestThrough(ended), inPeace.digest);
      const said = `${ended.stdout}\n${ended.stderr}`;
      assert.equal(said.match(new RegExp(`resumed from .*/ckpts/${name} at step 20`, 'g'))?.length, 2);
      assert.match(
        said,
        new RegExp(`rolled back to ${name}( at step \\d+)? \\(\\w+\\), which was put back out of the vault`),
      );
      assert.deepEqual(Object.keys(quarantineOf(cwd)), [torn]);
      assert.equal(checkpointsIn(cwd).length, 1);
      assert.ok(readdirSync(path.join(cwd, '.ckpts.trainguard', 'spares')).length > 0);
    });
  }

  test('gets it back though nobody but a live watch ever saw it', async (t) => {
    const [cwd, elsewhere] = [tempDir(t), tempDir(t)];
    writeFileSync(path.join(cwd, 'recovery.config.json'), '{"checkpoints": {"settle": "100ms"}}');
    const stage = await PuppetStage.create(t);
    const running = guard(t, stage.command, { cwd });
    const trainer = await stage.next();
    // whole checkpoints of a real training, laid down while the puppet lives
    await runDigits(t, [...LENGTH, '--layout', 'folder'], { cwd: elsewhere }).done;
    const live = (step: number): string => path.join(cwd, 'ckpts', `checkpoint-${step}`);
    const save = async (step: number): Promise<void> => {
      await trainer.stdout(`heartbeat step=${step} loss=1\n`);
      renameSync(path.join(elsewhere, 'ckpts', `checkpoint-${step}`), live(step));
    };
    mkdirSync(path.join(cwd, 'ckpts'), { recursive: true });
    await save(10);
    const spares = path.join(cwd, '.ckpts.trainguard', 'spares');
    await eventually(() => readdirSync(spares).includes('checkpoint-10%4010'), 'a spare of it');
    const before = readFileSync(path.join(live(10), 'model.npz'));
    await save(20);
    truncateSync(path.join(live(20), 'model.npz'), 100);
    rmSync(live(10), { recursive: true });
    await trainer.exit(1);

    const next = await stage.next();
    assert.equal(next.hello.env['TRAINGUARD_RESUME_FROM'], live(10));
    assert.deepEqual(readFileSync(path.join(live(10), 'model.npz')), before);
    assert.deepEqual(Object.keys(quarantineOf(cwd)), ['checkpoint-20']);
    await next.exit(0);
    assert.equal((await running.done).code, 0);
  });

  test('is not saved where rollback is off: its files are its own', async (t) => {
    const cwd = tempDir(t);
    const args = digits(...LENGTH, '--layout', 'in-place');
    const flags = ['--no-rollback', '--max-retries', '1'];
    const ended = await guard(t, args, { cwd, flags, env: { DIGITS_FAULT: FAULT } }).done;
    assert.deepEqual(kindsOf(summaryOf(ended).run).length, 2);
    assert.deepEqual(readdirSync(path.join(cwd, '.ckpts.trainguard', 'spares')), []);
  });
});
