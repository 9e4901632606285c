import { findLivingWorker } from '../engines/local/launch-record.js';
import type { StateRecord } from '../report/status-view.js';
import { readLaunch } from '../runs/launch-record.js';
import { openRun, readState, type Run, runDirOf } from '../runs/run-dir.js';
import { defaultRunName, numberedRunName, validRunName } from '../runs/run-name.js';
import { maskArgv } from '../util/mask.js';
import { probeLock } from '../util/os/lock.js';
import { ok, type Result } from '../util/result.js';
import type { RunPlan } from './run-plan.js';

/**
 * The name that was given; else the script's stem, with a number if that is active with another command, or its worker
 * lives on without a supervisor: another experiment is not the one to adopt it.
 */
export async function nameOf(plan: RunPlan): Promise<Result<string>> {
  if (plan.name !== undefined) return validRunName(plan.name);
  const stem = defaultRunName(plan.argv);
  for (let n = 1; ; n++) {
    const name = numberedRunName(stem, n);
    const dir = runDirOf(plan.stateDir, name);
    const run = await openRun(dir);
    if (!run.ok) return run;
    if (!run.value) return ok(name);
    const active = (await probeLock({ dir, keepIn: dir })) ?? (await findLivingWorker(dir));
    if (!active) return ok(name);
    const command = await commandOf(run.value);
    if (command === undefined || sameWords(command, maskArgv(plan.argv))) return ok(name);
  }
}

/** What a run's command was, masked; undefined: neither of the files that know it can be read. */
async function commandOf({ paths }: Run): Promise<readonly string[] | undefined> {
  const state = await readState<StateRecord>(paths.state);
  if (state.ok && state.value) return state.value.settings.command;
  const launch = await readLaunch(paths.launch);
  return launch.ok && launch.value ? maskArgv(launch.value.argv) : undefined;
}

const sameWords = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((word, i) => word === b[i]);
