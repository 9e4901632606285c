import type { StateRecord } from '../report/status-view.js';
import { pathsOf, readState, runDirOf } from '../runs/run-dir.js';
import { defaultRunName } from '../runs/run-name.js';
import { ok, type Result } from '../util/result.js';
import type { RunPlan } from './run-plan.js';

/**
 * Whether there is nothing left to do for a run that is started at every boot: it has completed, or was given up.
 * @returns how it ended, in words; undefined: it is to go on
 */
export async function doneAlready(plan: RunPlan): Promise<Result<string | undefined>> {
  const name = plan.name ?? defaultRunName(plan.argv);
  const record = await readState<StateRecord>(pathsOf(runDirOf(plan.stateDir, name)).state);
  if (!record.ok) return record;
  const state = record.value?.state;
  if (state?.name !== 'ended' || state.outcome === 'stopped' || state.outcome === 'preempted') {
    return ok(undefined);
  }
  const how = state.outcome === 'completed' ? 'has completed' : `was given up: ${state.reason}`;
  return ok(`run ${name} ${how}; leave --unless-done out to train on`);
}
