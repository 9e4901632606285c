import assert from 'node:assert/strict';
import { test } from 'node:test';
import { initialState } from '../../src/policy/transition.js';
import type { CheckpointStore, RollbackRequest } from '../../src/supervisor/ports.js';
import { undo } from '../../src/supervisor/folder-effects.js';
import type { Loop, Untimed } from '../../src/supervisor/supervise.js';
import { fail, ok } from '../../src/util/result.js';
import { saved } from '../policy/kit.js';

/** A folder with checkpoints saved at these times, under a supervisor that undoes one deeper rollback. */
async function undone(
  times: readonly number[],
  target: number,
  how: { readonly refusal?: string; readonly hook?: string } = {},
): Promise<{ posted: Untimed[]; moved: RollbackRequest[]; undone: (string | undefined)[] }> {
  const posted: Untimed[] = [];
  const moved: RollbackRequest[] = [];
  const back: (string | undefined)[] = [];
  const checkpoints = times.map((modifiedAt) => saved(modifiedAt, 'verified', { modifiedAt }));
  const store: Partial<CheckpointStore> = {
    inspect: () => Promise.resolve(ok({ checkpoints, foreign: [] })),
    rollback(request) {
      moved.push(request);
      return Promise.resolve(ok({ tx: 'aside', moved: [], restored: [], others: [] }));
    },
    undo(tx) {
      back.push(tx);
      if (how.refusal !== undefined) return Promise.resolve(fail('refused', 1, how.refusal));
      return Promise.resolve(ok({ tx: 'back', moved: [], restored: [], others: [] }));
    },
  };
  const { signal } = new AbortController();
  const loop = {
    parts: { store, verifyBudgetMs: 0, runHook: () => Promise.resolve(how.hook) },
    over: signal,
    stopped: signal,
    state: () => initialState(),
    post: (event: Untimed) => posted.push(event),
  } as unknown as Loop;
  const transactions = [{ tx: 'deeper', at: 100, target: `/ckpts/checkpoint-${target}` }];
  await undo(loop, { type: 'undo', transactions });
  return { posted, moved, undone: back };
}

test('only what was saved since goes aside, newest first', async () => {
  const { posted, moved, undone: back } = await undone([10, 20, 110, 120], 20);
  assert.deepEqual(
    moved.map(({ moves, target }) => ({ moves, target })),
    [{ moves: ['checkpoint-120', 'checkpoint-110'], target: 'checkpoint-20' }],
  );
  assert.deepEqual([back, posted], [['deeper'], [{ type: 'undone' }]]);
});

test('a target that is gone by now takes nothing along', async () => {
  const { moved, undone: back } = await undone([10, 20], 30);
  assert.deepEqual([moved, back], [[], ['deeper']]);
});

test('what was undone before its supervisor died is undone', async () => {
  for (const refusal of ['UNDONE_ALREADY', 'NO_ROLLBACK'])
    assert.deepEqual((await undone([10], 10, { refusal })).posted, [{ type: 'undone' }]);
  const [event] = (await undone([10], 10, { refusal: 'EIO' })).posted;
  assert.ok(event?.type === 'undone' && event.left?.includes('refused'));
});

test('a hook may forbid it', async () => {
  const { posted, undone: back } = await undone([10, 110], 10, { hook: 'not now' });
  assert.deepEqual(back, []);
  assert.ok(posted[0]?.type === 'undone' && posted[0].left?.includes('not now'));
});
