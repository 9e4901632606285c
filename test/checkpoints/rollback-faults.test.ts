import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import type { RollbackPlace } from '../../src/checkpoints/rollback/place.js';
import { finishRollbacks, rollBack, undoRollback } from '../../src/checkpoints/rollback/transaction.js';
import { everyFault } from '../support/faults.js';
import { scratch, value } from './samples.js';
import { contentsIn, leftovers, scenes, setUp, treeOf, type Scene } from './scenes.js';

// Changes to the disk fail in each way, and everything stops before, amid and after some: in this process. All of them,
// and what real processes make of it, killed, is for test/chaos/rollback-cuts.mjs.
const stride = process.env['ALL_FAULTS'] === undefined ? 7 : 1;

interface Stage {
  readonly place: RollbackPlace;
  readonly parent: string;
  readonly before: Record<string, string>;
  readonly contents: ReadonlySet<string>;
}

async function stageOf(scene: Scene, base: string): Promise<Stage> {
  const parent = mkdtempSync(path.join(base, 'run-'));
  const place = await setUp(scene, parent);
  return { place, parent, before: treeOf(parent), contents: contentsIn(parent) };
}

function assertNothingLost({ parent, contents, place }: Stage): void {
  const now = contentsIn(parent);
  for (const content of contents) assert.ok(now.has(content), `${content} is gone`);
  assert.deepEqual(leftovers(place), []);
}

for (const [name, scene] of Object.entries(scenes)) {
  describe(name, () => {
    test('each change to the disk fails in each way: as before, or as wanted once finished', async (t) => {
      const base = scratch(t);
      const sample = await stageOf(scene, base);
      value(await rollBack(sample.place, await scene.order(sample.place)));
      const wanted = treeOf(sample.parent);
      assert.notDeepEqual(wanted, sample.before);
      const cases = await everyFault(
        () => stageOf(scene, base),
        async ({ place }) => rollBack(place, await scene.order(place)),
        async ({ stage, value: done, error, crashed, fault }) => {
          assert.equal(error, undefined, 'a Problem is answered, not thrown');
          const { parent, place, before } = stage;
          if (done?.ok) assert.deepEqual(treeOf(parent), wanted);
          const unchanged = done && !done.ok && /nothing was changed/.test(done.error.message);
          if (unchanged) assert.deepEqual(treeOf(parent), before);
          value(await finishRollbacks(place));
          const now = treeOf(parent);
          const [there] = [before, wanted].filter((tree) => JSON.stringify(tree) === JSON.stringify(now));
          assert.deepEqual(now, there ?? wanted);
          if (unchanged) assert.deepEqual(now, before, `${fault} was said to change nothing`);
          assertNothingLost(stage);
          assert.deepEqual(value(await finishRollbacks(place)), []);
          if (!crashed) return;
          // what is there now can be gone on with
          if (there === before) value(await rollBack(place, await scene.order(place)));
          assert.deepEqual(treeOf(parent), wanted);
        },
        stride,
      );
      assert.ok(cases >= 100 / stride, `only ${cases}`);
    });

    test('the same of undoing it', async (t) => {
      const base = scratch(t);
      const rolledBack = async (): Promise<Stage & { original: Record<string, string> }> => {
        const stage = await stageOf(scene, base);
        value(await rollBack(stage.place, await scene.order(stage.place)));
        return { ...stage, original: stage.before, before: treeOf(stage.parent) };
      };
      const cases = await everyFault(
        rolledBack,
        ({ place }) => undoRollback(place, Date.now()),
        async ({ stage, value: done, error }) => {
          assert.equal(error, undefined, 'a Problem is answered, not thrown');
          const { parent, place, before, original } = stage;
          if (done?.ok) assert.deepEqual(treeOf(parent), original);
          value(await finishRollbacks(place));
          const now = treeOf(parent);
          const [there] = [before, original].filter((tree) => JSON.stringify(tree) === JSON.stringify(now));
          assert.deepEqual(now, there ?? original);
          assertNothingLost(stage);
          // once is enough: the second time there is nothing to undo
          if (there === before) value(await undoRollback(place, Date.now()));
          assert.deepEqual(treeOf(parent), original);
          assert.ok(!(await undoRollback(place, Date.now())).ok);
        },
        stride,
      );
      assert.ok(cases >= 100 / stride, `only ${cases}`);
    });
  });
}
