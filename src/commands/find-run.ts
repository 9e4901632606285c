import fs from 'node:fs/promises';
import type { GlobalOptions } from '../cli.js';
import { listRuns, type Run } from '../runs/run-dir.js';
import { validRunName } from '../runs/run-name.js';
import { errorCode } from '../util/os/durable.js';
import { stateDirOf } from './seeker.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { nearest } from '../util/text.js';

/** The run that a verb is about, by its name and the options that say where runs are kept. */
export async function chosenRun(name: string | undefined, options: GlobalOptions): Promise<Result<Run>> {
  const stateDir = await stateDirOf(options);
  return stateDir.ok ? findRun(stateDir.value, name) : stateDir;
}

/** The run of that name, or the one last written to. */
export async function findRun(stateDir: string, name: string | undefined): Promise<Result<Run>> {
  if (name !== undefined) {
    const valid = validRunName(name);
    if (!valid.ok) return valid;
  }
  const listed = await listRuns(stateDir);
  if (!listed.ok) return listed;
  const names = listed.value.map((one) => one.name);
  if (name !== undefined) {
    const found = listed.value.find((one) => one.name === name);
    if (found) return found.run;
    return unknownRun(name, names, stateDir);
  }
  let newest: { run: Run; at: number } | undefined;
  for (const { run } of listed.value) {
    if (!run.ok) continue;
    const at = await lastWritten(run.value);
    if (!newest || at > newest.at) newest = { run: run.value, at };
  }
  if (newest) return ok(newest.run);
  const broken = listed.value.find((one) => !one.run.ok);
  if (broken) return broken.run;
  return fail(
    `no runs in ${stateDir}; start one with "trainguard run -- <command>", or name the folder with --state-dir`,
    exitStatus.unknownRun,
  );
}

/** Exit 4, naming the nearest run or all there are. */
export function unknownRun(
  name: string,
  names: readonly string[],
  stateDir: string,
): ReturnType<typeof fail> {
  const near = nearest(name, names);
  const hint = near === undefined ? `runs there: ${names.join(', ') || 'none'}` : `did you mean ${near}?`;
  return fail(`no run ${name} in ${stateDir}; ${hint}`, exitStatus.unknownRun);
}

/** When a run's state was last written, ms since 1970. */
async function lastWritten(run: Run): Promise<number> {
  try {
    return (await fs.stat(run.paths.state)).mtimeMs;
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return run.createdAt;
  }
}
