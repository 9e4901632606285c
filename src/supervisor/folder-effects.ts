import type { DeeperRollback, Effect } from '../policy/effect.js';
import type { CheckpointStore } from './ports.js';
import type { Loop } from './supervise.js';

// What is done with the checkpoint folder while no process of the run is alive.

export async function inspect(loop: Loop, { reread }: Extract<Effect, { type: 'inspect' }>): Promise<void> {
  const { store, clock, verifyBudgetMs } = loop.parts;
  const lastStep = loop.attempt?.progress.step;
  await loop.attempt?.settled();
  const jitter = clock.random();
  const veto = await failureHook(loop);
  if (!store) {
    const vetoed = veto !== undefined && { veto };
    loop.post({ type: 'inspected', checkpoints: [], guessed: false, jitter, ...vetoed });
    return;
  }
  if (loop.rollbackOpen) {
    const finished = await store.recover();
    if (!finished.ok) {
      loop.post({ type: 'inspection-failed', reason: finished.error.message, jitter });
      return;
    }
    loop.rollbackOpen = false;
    for (const text of finished.value) loop.parts.notice(text);
  }
  const look = {
    ...{ live: false, budgetMs: verifyBudgetMs, signal: loop.over },
    ...(lastStep !== undefined && { step: lastStep }),
  };
  let found = await store.inspect(look);
  const again = found.ok
    ? found.value.checkpoints.find((one) => one.path === reread && !one.spare)
    : undefined;
  const vetted = again && (await store.vet(again.id, true));
  // what is damaged is marked so by now
  if (vetted?.ok && vetted.value !== undefined) found = await store.inspect(look);
  if (!found.ok) {
    loop.post({ type: 'inspection-failed', reason: found.error.message, jitter });
    return;
  }
  await keepNewest(loop, store);
  const { checkpoints, foreign, disorder } = found.value;
  if (checkpoints.length === 0 && foreign.length > 0) {
    const some = foreign.slice(0, 3).join(', ') + (foreign.length > 3 ? ', …' : '');
    loop.parts.notice(
      `nothing in ${store.dir} is recognised as a checkpoint (there is: ${some}), so there is nothing to resume from or to roll back to`,
    );
  }
  loop.sawCheckpoints(checkpoints);
  const state = loop.state();
  const launches = state.name === 'inspecting' && (state.after === 'start' || state.after === 'backoff');
  const question = { after: undefined, saveBytes: loop.saveBytes(), waitedMs: 0, signal: loop.over };
  const host = launches ? await loop.parts.checkHost(question) : undefined;
  const lacks = host?.type === 'wait' ? host.for : host?.type === 'never' ? host.why : undefined;
  loop.post({
    ...{ type: 'inspected', checkpoints, guessed: store.guessed, jitter },
    ...(lacks !== undefined && { lacks }),
    ...(veto !== undefined && { veto }),
    ...(vetted?.ok && { resumedDamage: vetted.value ?? null }),
    ...(disorder !== undefined && { disorder }),
  });
}

/** @returns that the failure is permanent, in words, if the user's hook says so */
async function failureHook(loop: Loop): Promise<string | undefined> {
  const state = loop.state();
  if (state.name !== 'inspecting' || state.after !== 'failure') return undefined;
  const { attempt } = state.ledger;
  return loop.parts.runHook('onFailure', { attempt, failure: state.failure }, loop.stopped);
}

/** What the last attempt saved faster than it could be copied, and what the next one may write over. */
async function keepNewest(loop: Loop, store: CheckpointStore): Promise<void> {
  const state = loop.state();
  const goesOn = state.name === 'inspecting' && state.after !== 'success';
  if (goesOn && loop.parts.policy.rollbackEnabled) await store.keep({ live: false, signal: loop.over });
}

export async function rollBack(
  loop: Loop,
  { target, moves, reason, tx: named }: Extract<Effect, { type: 'roll-back' }>,
): Promise<void> {
  const { store } = loop.parts;
  if (!store) {
    loop.post({ type: 'rollback-failed', reason: 'no checkpoint folder is known' });
    return;
  }
  const { ledger } = loop.state();
  const failure = ledger.failures.at(-1);
  const context = {
    ...{ attempt: ledger.attempt, rollback: { moves, reason, ...(target !== undefined && { target }) } },
    ...(failure && { failure }),
  };
  const forbidden = await loop.parts.runHook('beforeRollback', context, loop.stopped);
  if (forbidden !== undefined) {
    loop.post({ type: 'rollback-failed', reason: forbidden, permanent: true });
    return;
  }
  // a person who stops the run now does not want it moved any more
  if (loop.stopped.aborted) {
    loop.post({ type: 'rollback-failed', reason: 'stopped before anything was moved' });
    return;
  }
  const done = await store.rollback({
    ...{ moves, reason },
    ...(target !== undefined && { target }),
    ...(named !== undefined && { tx: named }),
  });
  if (!done.ok) {
    loop.rollbackOpen = true;
    loop.post({ type: 'rollback-failed', reason: done.error.message });
    return;
  }
  const { tx, moved } = done.value;
  const veto = await loop.parts.runHook('afterRollback', context, loop.stopped);
  loop.post({
    ...{ type: 'rolled-back', tx, quarantined: moved.map((move) => move.id) },
    ...(veto !== undefined && { veto }),
  });
}

/** Puts back what deeper rollbacks moved; where that cannot be done it is said, and the run ends all the same. */
export async function undo(loop: Loop, { transactions }: Extract<Effect, { type: 'undo' }>): Promise<void> {
  const { store } = loop.parts;
  const { ledger } = loop.state();
  const failure = ledger.failures.at(-1);
  const rollback = { moves: [], reason: 'the run gives up, and what it had gone back past is put back' };
  const context = { attempt: ledger.attempt, rollback, ...(failure && { failure }) };
  const forbidden = await loop.parts.runHook('beforeRollback', context, loop.stopped);
  if (forbidden !== undefined) {
    loop.post({ type: 'undone', left: `what was moved for it stays in quarantine: ${forbidden}` });
    return;
  }
  for (const deeper of transactions) {
    const left = store ? await undoOne(loop, store, deeper) : 'no checkpoint folder is known';
    if (left === undefined) continue;
    loop.post({
      type: 'undone',
      left: `what was moved for it could not be put back (it is in quarantine): ${left}`,
    });
    return;
  }
  loop.post({ type: 'undone' });
}

/** @returns why it is not undone, in words */
async function undoOne(
  loop: Loop,
  store: CheckpointStore,
  { tx, target: kept, at: doneAt }: DeeperRollback,
): Promise<string | undefined> {
  const found = await store.inspect({ live: false, budgetMs: loop.parts.verifyBudgetMs, signal: loop.over });
  if (!found.ok) return found.error.message;
  // what was saved since may bear the names of what comes back
  const live = found.value.checkpoints.filter(({ spare }) => !spare);
  const since = live.filter(({ modifiedAt }) => doneAt !== undefined && modifiedAt > doneAt);
  const moves = since.map(({ id }) => id).reverse();
  if (moves.length > 0) {
    const target = live.find((one) => one.path === kept && !since.includes(one))?.id;
    const reason = 'the run gives up, and what it had gone back past is put back';
    const moved = await store.rollback({ moves, reason, ...(target !== undefined && { target }) });
    if (!moved.ok) return moved.error.message;
  }
  const back = await store.undo(tx);
  // begun before, by a supervisor that died over it
  const isBack = back.ok || back.error.code === 'UNDONE_ALREADY' || back.error.code === 'NO_ROLLBACK';
  return isBack ? undefined : back.error.message;
}

export async function mark(
  loop: Loop,
  { id, standing, why }: Extract<Effect, { type: 'mark' }>,
): Promise<void> {
  const marked = await loop.parts.store?.mark(id, standing, why);
  if (marked?.ok) loop.marked(id, standing);
  if (marked && !marked.ok)
    loop.parts.notice(`${id} could not be marked ${standing}: ${marked.error.message}`);
}
