import path from 'node:path';
import type { StateRecord } from '../report/status-view.js';
import { readState } from '../runs/run-dir.js';
import { exitStatus, type Problem } from '../util/result.js';
import { detach } from './detach.js';
import { chosenRun } from './find-run.js';
import { wantsColor } from './output.js';
import { refuse } from './refuse.js';
import { absoluteFlags, launchOf, relive } from './relaunch.js';
import { run, type RunOptions } from './run.js';
import { openTether } from './tether.js';

/** Flags override what is on record, and are on record from then on. */
export type ResumeOptions = Omit<RunOptions, 'name'>;

/** `trainguard resume [run]`: launches again what is on record, as it was launched then, whatever shell this is. */
export async function resumeRun(name: string | undefined, options: ResumeOptions): Promise<number> {
  const json = options.json === true;
  const tether = openTether(options.detached);
  const turnDown = (problem: Problem): number => {
    tether?.say({ type: 'refused', problem });
    return refuse(problem, json);
  };
  const found = await chosenRun(name, options);
  if (!found.ok) return turnDown(found.error);
  if (name === undefined && !options.dryRun && !options.unlessDone) {
    // nobody meant to train what is done once more
    const { name: only, paths } = found.value;
    const last = await readState<StateRecord>(paths.state);
    const state = last.ok ? last.value?.state : undefined;
    if (state?.name === 'ended' && state.outcome === 'completed') {
      const text = `run ${only}, the one last written to, has completed; name the run that is meant ("trainguard resume ${only}" trains on)`;
      return turnDown({ message: text, exit: exitStatus.usage });
    }
  }
  if (options.detach && options.detached === undefined && !options.dryRun) {
    return detach(process.argv.slice(2), options);
  }
  const record = await launchOf(found.value);
  if (!record.ok) return turnDown(record.error);
  // before the working directory and the environment are those of then
  const given = absoluteFlags(options);
  const color = wantsColor(options.color);
  const relived = relive(record.value);
  if (!relived.ok) return turnDown(relived.error);
  return run(
    record.value.argv,
    {
      ...{ ...options, rollback: true, ...record.value.flags, ...given, color },
      name: found.value.name,
      stateDir: path.resolve(found.value.dir, '..', '..'),
    },
    { record: record.value, troubles: relived.value, tether },
  );
}
