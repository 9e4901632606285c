import path from 'node:path';
import type { LayoutName } from '../checkpoints/layouts/registry.js';
import { openCheckpointFolders, type OpenFolder } from '../checkpoints/many/open.js';
import { openCheckpointStore, type OpenOptions } from '../checkpoints/open.js';
import { resolveCommand } from '../engines/local/resolve-command.js';
import { metricAtSteps } from '../runs/metric-at.js';
import { checkpointRegistryOf, type Run } from '../runs/run-dir.js';
import type { CheckpointStore, Clock } from '../supervisor/ports.js';
import { missingAncestor, removeEmpty } from '../util/os/empty-dirs.js';
import { acquireLock, type Lock } from '../util/os/lock.js';
import { ok, type Result } from '../util/result.js';
import { claimFolder } from './folder-training.js';
import type { RunPlan } from './run-plan.js';

/** Opens the checkpoint folders that a plan names, for this run alone; undefined: it names none. */
export async function openStore(
  plan: RunPlan,
  run: Run,
  clock: Clock,
  notice: (text: string) => void,
): Promise<Result<{ store: CheckpointStore; lock?: Pick<Lock, 'release'> } | undefined>> {
  const wish = plan.checkpoints;
  if (!wish) return ok(undefined);
  const options = {
    guessed: wish.guessed,
    layout: wish.layout as 'auto' | LayoutName,
    provenAfterMs: plan.policy.provenAfterMs,
    runId: run.id,
    runStartedAt: run.createdAt,
    clock,
    onNotice: notice,
    ...(wish.vault !== undefined && { vault: wish.vault }),
    ...(plan.settleMs !== undefined && { settleMs: plan.settleMs }),
    ...(plan.verify !== undefined && { verify: plan.verify }),
    ...(plan.keep && { keep: plan.keep }),
    metrics: (name: string) => metricAtSteps(run.paths.metrics, name),
    nonFinite: plan.policy.health.nonFinite,
  };
  const opened = await openCheckpointFolders(
    wish.dirs,
    (dir, appeared) => openForRun({ ...options, dir, appeared }, run, plan.stateDir),
    clock,
    notice,
  );
  if (!opened.ok) return opened;
  const folder = opened.value;
  const store = await withAside(folder.store, plan, clock, notice);
  return ok({ store, lock: { release: () => folder.release() } });
}

/** What `checkpoints.include` and `checkpoints.clean` name goes back together with the checkpoints. */
async function withAside(
  store: CheckpointStore,
  { aside, argv, cwd, stateDir }: RunPlan,
  clock: Clock,
  notice: (text: string) => void,
): Promise<CheckpointStore> {
  if (!aside) return store;
  // loads the hash library
  const { WithAside } = await import('../checkpoints/include/store.js');
  const program = resolveCommand(argv[0], process.env, cwd);
  const own = program.ok && /(^|\/)python[\d.]*$/.test(program.value) ? [program.value] : [];
  return new WithAside(store, { ...aside, cwd, stateDir, interpreters: [...own, 'python3'], clock, notice });
}

/** One folder: locked, and claimed for the run. What was made of it goes again if it cannot be had. */
async function openForRun(options: OpenOptions, run: Run, stateDir: string): Promise<Result<OpenFolder>> {
  const firstMade = await missingAncestor(options.dir);
  const opened = await openCheckpointStore(options);
  if (!opened.ok) {
    if (firstMade !== undefined) await removeEmpty([path.resolve(options.dir)], firstMade);
    return opened;
  }
  const store = opened.value;
  const { vault } = store;
  if (vault === undefined) return ok({ store, release: () => Promise.resolve() });
  const lock = await acquireLock({
    kind: 'checkpoints',
    run: run.name,
    // a folder that was guessed may still be to be made, by the script; until then its vault stands for it
    dir: (await missingAncestor(store.dir)) === undefined ? store.dir : vault,
    keepIn: vault,
    registry: checkpointRegistryOf(stateDir),
    onTrouble: (text) => options.onNotice(text),
  });
  if (lock.ok) {
    const claimed = await claimFolder(vault, run);
    if (claimed.ok) return ok({ store, release: () => lock.value.release() });
    await lock.value.release();
    await store.close();
    return claimed;
  }
  await store.close();
  return lock;
}
