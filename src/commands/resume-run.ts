import path from 'node:path';
import type { Problem } from '../util/result.js';
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
