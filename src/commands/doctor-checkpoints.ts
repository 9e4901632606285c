import path from 'node:path';
import { layouts, type LayoutName } from '../checkpoints/layouts/registry.js';
import { openCheckpointFolders } from '../checkpoints/many/open.js';
import { openCheckpointStore } from '../checkpoints/open.js';
import { findVault } from '../checkpoints/vault.js';
import { roomToSave } from '../policy/checkpoint.js';
import { chooseRollback } from '../policy/rollback-choice.js';
import { type Check, fails, warn } from '../report/doctor-check.js';
import { type CheckpointsFacts, judgeCheckpoints, judgeVault } from '../report/doctor-checkpoints.js';
import { judgeFolder } from '../report/doctor-folders.js';
import { ok } from '../util/result.js';
import { folderFacts, nearestThere, whyNoRename } from './doctor-folders.js';
import { holderOf } from './doctor-locks.js';
import type { CheckpointPlan, RunPlan } from './run-plan.js';
import { systemClock } from './run-parts.js';

/** How long checkpoints may be read to verify them, ms. */
const verifyBudgetMs = 60_000;

/** What is known of a run's checkpoint folders. */
export interface CheckpointsSeen {
  readonly checks: readonly Check[];
  /** As `--layout` names it; empty: not known. */
  readonly layout: string;
  /** Each is there, or is to be made. */
  readonly dirs: readonly string[];
}

/** Looks at the checkpoint folders of a plan without changing anything in them. */
export async function checkpointChecks(plan: RunPlan): Promise<CheckpointsSeen> {
  const wish = plan.checkpoints;
  if (!wish)
    return {
      ...{ layout: '', dirs: [] },
      checks: [
        warn(
          'checkpoints',
          'no checkpoint folder was found in the command: no rollback, and a damaged checkpoint is not seen',
          'name it with --checkpoint-dir',
        ),
      ],
    };
  const notices: string[] = [];
  const found = await lookInto(plan, wish, (text) => void notices.push(text));
  if (!found.ok) return { checks: [fails('checkpoints', found.error.message)], layout: '', dirs: [] };
  const { facts } = found.value;
  const saveBytes = roomToSave(facts.checkpoints);
  const folders = await Promise.all(
    facts.dirs.map(async (dir) => [
      ...judgeFolder(await folderFacts('checkpoint folder', dir), saveBytes),
      ...(await vaultChecks(dir, facts.layout, wish.vault)),
    ]),
  );
  return {
    checks: [...folders.flat(), ...judgeCheckpoints({ ...facts, notices })],
    layout: facts.layout,
    dirs: facts.dirs,
  };
}

async function lookInto(plan: RunPlan, wish: CheckpointPlan, onNotice: (text: string) => void) {
  const options = {
    guessed: wish.guessed,
    layout: wish.layout as 'auto' | LayoutName,
    provenAfterMs: plan.policy.provenAfterMs,
    runId: '',
    runStartedAt: systemClock.now(),
    clock: systemClock,
    readOnly: true,
    nonFinite: plan.policy.health.nonFinite,
    onNotice,
    ...(plan.verify !== undefined && { verify: plan.verify }),
    ...(wish.vault !== undefined && { vault: wish.vault }),
  };
  const opened = await openCheckpointFolders(
    wish.dirs,
    async (dir) => {
      const store = await openCheckpointStore({ ...options, dir });
      return store.ok ? ok({ store: store.value, release: () => Promise.resolve() }) : store;
    },
    systemClock,
    onNotice,
  );
  if (!opened.ok) return opened;
  const { store } = opened.value;
  try {
    const dirs = store.dirs ?? [store.dir];
    const holders = await Promise.all(dirs.map((dir) => holderOf(dir, wish.vault)));
    // what a run that is under way is just writing is not damaged
    const live = holders.some((holder) => holder !== undefined);
    const inspected = await store.inspect({ live, budgetMs: verifyBudgetMs });
    if (!inspected.ok) return inspected;
    const { checkpoints, disorder } = inspected.value;
    const { rollbackEnabled, allowScratch } = plan.policy;
    const choice = chooseRollback({
      ...{ checkpoints, guessed: wish.guessed, rollbackEnabled, allowScratch },
      everVerified: false,
      mayBeginAnew: true,
      ...(disorder !== undefined && { disorder }),
    });
    const facts: Omit<CheckpointsFacts, 'notices'> = {
      dirs,
      words: wish.words,
      guessed: wish.guessed,
      layout: store.layout,
      checkpoints,
      choice,
    };
    return ok({ facts });
  } finally {
    await store.close();
  }
}

/** Tries a rename out of the folder to where rolled-back checkpoints would go. */
async function vaultChecks(
  dir: string,
  layout: string,
  named: string | undefined,
): Promise<readonly Check[]> {
  const from = await nearestThere(dir);
  const known = await findVault({ dir, bearsDotName: true, ...(named !== undefined && { named }) });
  const vault = known ?? named ?? path.join(path.dirname(dir), `.${path.basename(dir)}.trainguard`);
  const parent = await nearestThere(named === undefined || known !== undefined ? path.dirname(vault) : vault);
  const problem = await whyNoRename(from, known ?? parent);
  const mayLieInside = layouts.find(({ name }) => name === layout)?.bearsDotName === true;
  return [
    judgeVault({ dir, vault, named: named !== undefined, mayLieInside, ...(problem !== undefined && { problem }) }),
  ]; // prettier-ignore
}
