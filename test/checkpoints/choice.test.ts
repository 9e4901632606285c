import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { discoverCheckpointDir } from '../../src/checkpoints/discovery.js';
import { isProven, noProof } from '../../src/checkpoints/proof.js';
import { selectCheckpoint } from '../../src/checkpoints/select.js';
import { stepOf } from '../../src/checkpoints/step.js';
import { recordedBest } from '../../src/checkpoints/step-file.js';
import type { CheckpointFact, Standing } from '../../src/policy/checkpoint.js';
import { lay, npz, scratch, trainerFolder } from './samples.js';

const fact = (number: number, standing: Standing, step?: number): CheckpointFact => ({
  id: `step-${number}.npz`,
  path: `/c/step-${number}.npz`,
  number,
  ...(step === undefined ? {} : { step }),
  modifiedAt: number,
  sizeBytes: 1,
  standing,
  why: 'because',
  ours: true,
});

describe('selectors', () => {
  const facts = [
    fact(10, 'safe', 100),
    fact(20, 'safe', 200),
    fact(30, 'verified'),
    fact(40, 'suspect', 400),
    fact(50, 'verified', 500),
    fact(60, 'corrupt'),
  ];
  const rows: readonly [string, string | RegExp][] = [
    ['latest', 'step-50.npz'],
    ['previous', 'step-30.npz'],
    ['safe', 'step-20.npz'],
    ['best', /no metric is recorded/],
    ['step:200', 'step-20.npz'],
    ['step:30', 'step-30.npz'],
    ['step:20', /no checkpoint is at step 20; the nearest is "step-30.npz" at step 30/],
    ['step-40.npz', 'step-40.npz'],
    ['step-60.npz', /"step-60.npz" is corrupt \(because\)/],
    [
      'lastest',
      /no checkpoint "lastest" \(did you mean "latest"\?\); there are "step-10.npz" at step 100 \(safe\), /,
    ],
  ];
  for (const [selector, expected] of rows) {
    test(selector, () => {
      const found = selectCheckpoint(facts, selector);
      if (typeof expected === 'string') assert.equal(found.ok && found.value.id, expected);
      else assert.match(found.ok ? found.value.id : found.error.message, expected);
    });
  }

  test('best by what the framework records, and none where there is nothing', () => {
    const best = selectCheckpoint(facts, 'best', 'step-10.npz');
    assert.equal(best.ok && best.value.id, 'step-10.npz');
    const gone = selectCheckpoint(facts, 'best', 'step-1.npz');
    assert.match(gone.ok ? '' : gone.error.message, /"step-1.npz", is gone/);
    for (const selector of ['latest', 'previous', 'safe', 'step:3', 'x']) {
      const none = selectCheckpoint([], selector);
      assert.match(none.ok ? '' : none.error.message, /there are no checkpoints$/);
    }
  });

  test('best_model_checkpoint of the newest trainer_state.json', async (t) => {
    const dir = scratch(t);
    lay(dir, {
      ...trainerFolder(10),
      ...trainerFolder(20),
      'checkpoint-20/trainer_state.json': '{"best_metric": null}',
    });
    assert.equal(
      await recordedBest(dir, ['checkpoint-10', 'checkpoint-20', 'checkpoint-30']),
      'checkpoint-10',
    );
    assert.equal(await recordedBest(dir, ['checkpoint-20']), undefined);
  });
});

test('proof: enough time, and 50 steps or one further checkpoint', () => {
  const minutes = 120_000;
  assert.equal(isProven({ ...noProof, healthyMs: minutes }, minutes), false);
  assert.equal(isProven({ ...noProof, healthyMs: minutes, healthySteps: 50 }, minutes), true);
  assert.equal(isProven({ ...noProof, healthyMs: minutes, furtherCheckpoints: 1 }, minutes), true);
  assert.equal(
    isProven({ healthyMs: minutes - 1, healthySteps: 1e6, furtherCheckpoints: 9 }, minutes),
    false,
  );
});

test('the step of a checkpoint: the heartbeat’s, a name that says step, or unknown', () => {
  assert.equal(stepOf({ mayBeStep: false, number: 7, seen: 700, now: 720 }), 700);
  assert.equal(stepOf({ mayBeStep: true, number: 690, seen: 700 }), 690);
  assert.equal(stepOf({ mayBeStep: true, number: 7, seen: 700 }), 700, 'a name that counts something else');
  assert.equal(stepOf({ mayBeStep: true, number: 30, seen: 29 }), 30, 'saved before the step was reported');
  assert.equal(stepOf({ mayBeStep: true, number: 800, seen: 700 }), 800, 'rather too late than too early');
  assert.equal(stepOf({ mayBeStep: true, number: 7000, seen: 700 }), 700, 'a name that is far ahead');
  assert.equal(stepOf({ mayBeStep: true, number: 690, now: 720 }), 690, 'found late');
  assert.equal(stepOf({ mayBeStep: false, number: 690, now: 720 }), undefined, 'an epoch, say');
  assert.equal(stepOf({ mayBeStep: true, number: 690 }), undefined, 'a run that never said a step');
});

describe('discovery', () => {
  const rows: readonly [string, string[], string | undefined][] = [
    ['a flag and its value', ['python', 't.py', '--output_dir', 'out'], 'out'],
    ['with =, dashes', ['python', 't.py', '--checkpoint-dir=a/b'], 'a/b'],
    ['one dash', ['python', 't.py', '-out_dir', 'x'], 'x'],
    ['the most particular flag wins', ['python', 't.py', '--output_dir', 'o', '--save-dir', 's'], 's'],
    ['the last one given wins', ['python', 't.py', '--out_dir=a', '--out_dir=b'], 'b'],
    ['not the launcher’s', ['torchrun', '--output_dir', 'logs', 't.py'], undefined],
    ['after a module', ['python', '-m', 'pkg.train', '--save_dir', 's'], 's'],
    ['a program of its own', ['./train', '--save_dir', 's'], 's'],
    ['no value', ['python', 't.py', '--save_dir', '--fast'], undefined],
    ['a URL', ['python', 't.py', '--save_dir=s3://b/c'], undefined],
    ['a file', ['python', 't.py', '--output', 'file.txt'], undefined],
    ['nothing', ['python', 't.py'], undefined],
  ];
  for (const [name, argv, expected] of rows) {
    test(name, async (t) => {
      const cwd = scratch(t);
      writeFileSync(path.join(cwd, 'file.txt'), '');
      const found = await discoverCheckpointDir(argv, cwd);
      assert.equal(found?.dir, expected === undefined ? undefined : path.join(cwd, expected));
      if (found) assert.equal(found.from, 'flag');
    });
  }

  test('the folder below the one that a flag names, where only that one holds checkpoints', async (t) => {
    const cwd = scratch(t);
    lay(cwd, {
      'run/checkpoints/step-1.npz': npz(),
      'both/checkpoints/step-1.npz': npz(),
      'both/step-2.npz': npz(),
    });
    const found = (dir: string): ReturnType<typeof discoverCheckpointDir> =>
      discoverCheckpointDir(['python', 't.py', '--work-dir', dir], cwd);
    assert.deepEqual(await found('run'), {
      dir: path.join(cwd, 'run', 'checkpoints'),
      from: 'flag',
      words: 'checkpoints/ in --work-dir of the command',
    });
    assert.equal((await found('both'))?.dir, path.join(cwd, 'both'));
    assert.equal((await found('new'))?.dir, path.join(cwd, 'new'));
  });

  test('a usual name only where it holds checkpoints', async (t) => {
    const cwd = scratch(t);
    mkdirSync(path.join(cwd, 'checkpoints'));
    lay(cwd, { 'ckpts/notes-1.txt': 'x', 'outputs/step-1.npz': npz() });
    const found = await discoverCheckpointDir(['python', 't.py'], cwd);
    assert.deepEqual(found, {
      dir: path.join(cwd, 'outputs'),
      from: 'name',
      words: 'outputs/ holds checkpoints',
    });
  });
});
