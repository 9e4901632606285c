import path from 'node:path';
import type { LayoutName } from '../checkpoints/layouts/registry.js';
import { openCheckpointStore } from '../checkpoints/open.js';
import { checkpointRegistryOf, type Run } from '../runs/run-dir.js';
import type { CheckpointStore, Clock } from '../supervisor/ports.js';
import { missingAncestor, removeEmpty } from '../util/os/empty-dirs.js';
import { acquireLock, type Lock } from '../util/os/lock.js';
import { ok, type Result } from '../util/result.js';
import { claimFolder } from './folder-training.js';
import type { RunPlan } from './run-plan.js';

/** Opens the checkpoint folder that a plan names, for this run alone; undefined: it names none. */
export async function openStore(
  plan: RunPlan,
  run: Run,
  clock: Clock,
  notice: (text: string) => void,
): Promise<Result<{ store: CheckpointStore; lock?: Lock } | undefined>> {
  const wish = plan.checkpoints;
  if (!wish) return ok(undefined);
  const firstMade = await missingAncestor(wish.dir);
  const store = await openCheckpointStore({
    dir: wish.dir,
    guessed: wish.guessed,
    layout: wish.layout as 'auto' | LayoutName,
    provenAfterMs: plan.policy.provenAfterMs,
    runId: run.id,
    runStartedAt: run.createdAt,
    clock,
    onNotice: notice,
    ...(wish.vault !== undefined && { vault: wish.vault }),
    ...(plan.settleMs !== undefined && { settleMs: plan.settleMs }),
  });
  if (!store.ok) {
    if (firstMade !== undefined) await removeEmpty([path.resolve(wish.dir)], firstMade);
    return store;
  }
  const { vault } = store.value;
  if (vault === undefined) return ok({ store: store.value });
  const lock = await acquireLock({
    kind: 'checkpoints',
    run: run.name,
    // a folder that was guessed may still be to be made, by the script; until then its vault stands for it
    dir: (await missingAncestor(store.value.dir)) === undefined ? store.value.dir : vault,
    keepIn: vault,
    registry: checkpointRegistryOf(plan.stateDir),
    onTrouble: notice,
  });
  if (lock.ok) {
    const claimed = await claimFolder(vault, run);
    if (claimed.ok) return ok({ store: store.value, lock: lock.value });
    await lock.value.release();
    await store.value.close();
    return claimed;
  }
  await store.value.close();
  return lock;
}
