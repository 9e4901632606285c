import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openCheckpointStore } from '../../src/checkpoints/open.js';
import type { CheckpointStore } from '../../src/supervisor/ports.js';
import type { Result } from '../../src/util/result.js';
import { everyFault } from '../support/faults.js';
import { bytesIn, defaults, HandClock, lay, scratch, told, trainerFolder, value } from './samples.js';

interface Stage {
  readonly dir: string;
  readonly vault: string;
  readonly notices: string[];
  readonly reopen: () => Promise<Result<CheckpointStore>>;
}

function stage(base: string, steps: readonly number[]): Stage {
  const parent = mkdtempSync(path.join(base, 'run-'));
  const dir = path.join(parent, 'ckpts');
  for (const step of steps) lay(dir, trainerFolder(step));
  const notices: string[] = [];
  const reopen = (): Promise<Result<CheckpointStore>> =>
    openCheckpointStore(defaults(dir, new HandClock(), notices));
  return { dir, vault: path.join(parent, '.ckpts.trainguard'), notices, reopen };
}

/** Every checkpoint file, wherever it lies: nothing good is ever lost. */
function contentOf({ dir, vault }: Stage): readonly string[] {
  const quarantine = path.join(vault, 'quarantine');
  const moved = readdirSync(quarantine).flatMap((tx) => [...bytesIn(path.join(quarantine, tx))]);
  return [...bytesIn(dir), ...moved].map(([name, bytes]) => `${name} ${bytes.toString('base64')}`).sort();
}

const sentence = (result: Result<unknown> | undefined): void => {
  if (result && !result.ok) assert.match(result.error.message, /^[^\n]+$/);
};

test('a rollback, each change to the disk failing in each way: as before, or wholly done once finished', async (t) => {
  const base = scratch(t);
  const cases = await everyFault(
    async () => {
      const one = stage(base, [10, 20, 30]);
      const store = value(await one.reopen());
      value(await store.inspect({ live: false, budgetMs: 60_000 }));
      return { ...one, store, whole: contentOf(one) };
    },
    ({ store }) =>
      store.rollback({ target: 'checkpoint-10', moves: ['checkpoint-30', 'checkpoint-20'], reason: 'x' }),
    async ({ stage: one, value: done, error, crashed }) => {
      assert.equal(error, undefined, 'a Problem is answered, not thrown');
      sentence(done);
      // whoever lives tries again with what it has, whoever crashed begins anew
      const store = crashed ? value(await one.reopen()) : one.store;
      value(await store.recover());
      assert.deepEqual(value(await store.recover()), []);
      const left = readdirSync(one.dir).sort();
      if (done?.ok) assert.equal(left.length, 1);
      assert.deepEqual(
        left,
        left.length === 1 ? ['checkpoint-10'] : ['checkpoint-10', 'checkpoint-20', 'checkpoint-30'],
      );
      assert.deepEqual(contentOf(one), one.whole);
      const again = await store.rollback({ moves: left.slice(1).reverse(), reason: 'x' });
      assert.equal(value(again).moved.length, left.length - 1);
      assert.deepEqual(readdirSync(one.dir), ['checkpoint-10']);
      const journal = readdirSync(path.join(one.vault, 'journal'));
      assert.deepEqual(
        journal.filter((name) => !name.endsWith('.done')),
        [],
        'and nothing half-written',
      );
      await one.store.close();
    },
  );
  assert.ok(cases >= 60, `only ${cases}`);
});

test('opening a folder and judging it, each change to the disk failing in each way', async (t) => {
  const base = scratch(t);
  const cases = await everyFault(
    () => Promise.resolve(stage(base, [10])),
    async ({ reopen }) => {
      const opened = await reopen();
      if (!opened.ok) return opened;
      const seen = await opened.value.inspect({ live: false, budgetMs: 60_000 });
      await opened.value.close();
      return seen;
    },
    async ({ stage: one, value: seen, error, crashed, fault }) => {
      assert.equal(error, undefined, 'a Problem is answered, not thrown');
      if (!crashed) sentence(seen);
      one.notices.length = 0;
      const store = value(await one.reopen());
      assert.deepEqual(value(await store.recover()), []);
      const { checkpoints } = value(await store.inspect({ live: false, budgetMs: 60_000 }));
      assert.deepEqual(told(checkpoints), ['checkpoint-10:verified']);
      await store.close();
      assert.deepEqual(one.notices, [], 'nothing is damaged');
      const left = readdirSync(one.vault, { recursive: true }) as string[];
      assert.deepEqual(
        left.filter((name) => /\.tmp$|probe/.test(name)),
        [],
        'nothing half-written',
      );
      // only where its place cannot be used does the vault go elsewhere
      if (!['EROFS', 'EACCES', 'EXDEV'].includes(fault))
        assert.deepEqual(
          readdirSync(one.dir).filter((name) => name.startsWith('.')),
          [],
        );
    },
  );
  assert.ok(cases >= 60, `only ${cases}`);
});
