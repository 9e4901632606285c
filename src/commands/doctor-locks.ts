import { findVault } from '../checkpoints/vault.js';
import type { LockFacts } from '../report/doctor-folders.js';
import { runDirOf } from '../runs/run-dir.js';
import { describeOwner } from '../util/os/lock-owner.js';
import { probeLock } from '../util/os/lock-probe.js';
import { missingAncestor } from '../util/os/empty-dirs.js';
import type { Rival } from '../util/os/lock-claims.js';
import { nearestThere, tryLock } from './doctor-folders.js';
import { nameOf } from './name-of-run.js';
import type { RunPlan } from './run-plan.js';

/** Looks who has the run and its checkpoint folders, and takes a lock of its own for a moment. */
export async function lockFacts(plan: RunPlan, dirs: readonly string[]): Promise<LockFacts> {
  const held: LockFacts['held'][number][] = [];
  const name = await nameOf(plan);
  if (!name.ok) return { held, problem: name.error.message };
  const dir = runDirOf(plan.stateDir, name.value);
  const holder = (await missingAncestor(dir)) === undefined && (await probeLock({ dir, keepIn: dir }));
  if (holder)
    held.push({
      what: `run ${name.value}`,
      by: whoIs(holder),
      way: `trainguard attach ${name.value}, or stop it with "trainguard stop ${name.value}", or choose another --name`,
    });
  const named = plan.checkpoints?.vault;
  for (const folder of dirs) {
    const rival = await holderOf(folder, named);
    // the run itself is named already
    if (!rival || (holder && rival.owner?.run === name.value)) continue;
    held.push({
      what: `checkpoint folder ${folder}`,
      by: rival.owner ? `run ${rival.owner.run} (${whoIs(rival)})` : whoIs(rival),
      way: 'stop that run, or choose another --checkpoint-dir',
    });
  }
  return { run: name.value, held, ...(await tryLock(await nearestThere(plan.stateDir))) };
}

/** Who has a checkpoint folder now; undefined: nobody. @param named `--vault` */
export async function holderOf(dir: string, named: string | undefined): Promise<Rival | undefined> {
  const vault = await findVault({ dir, bearsDotName: true, ...(named !== undefined && { named }) });
  return vault === undefined ? undefined : probeLock({ dir, keepIn: vault });
}

const whoIs = ({ owner }: Rival): string => (owner ? describeOwner(owner) : 'a process that does not answer');
