import type { GlobalOptions } from '../cli.js';
import { describeRun, type RunStatus, type StateRecord, viewRun } from '../report/status-view.js';
import { listRuns, type Run } from '../runs/run-dir.js';
import { validRunName } from '../runs/run-name.js';
import { readState } from '../runs/state-file.js';
import { probeLock } from '../util/os/lock.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { unknownRun } from './find-run.js';
import { refuse } from './refuse.js';
import { stateDirOf } from './seeker.js';

export interface StatusOptions extends GlobalOptions {
  readonly exitCode?: true;
}

/** `trainguard status [run]`: 0 whenever it could answer, 4 unknown run; with --exit-code 3 if none is active. */
export async function status(name: string | undefined, options: StatusOptions): Promise<number> {
  const json = options.json === true;
  const stateDir = await stateDirOf(options);
  if (!stateDir.ok) return refuse(stateDir.error, json);
  const valid = name === undefined ? undefined : validRunName(name);
  if (valid && !valid.ok) return refuse(valid.error, json);
  const listed = await listRuns(stateDir.value);
  if (!listed.ok) return refuse(listed.error, json);
  const wanted = name === undefined ? listed.value : listed.value.filter((one) => one.name === name);
  if (name !== undefined && wanted.length === 0) {
    const names = listed.value.map((one) => one.name);
    return refuse(unknownRun(name, names, stateDir.value).error, json);
  }
  const runs: RunStatus[] = [];
  let worst: number = exitStatus.done;
  for (const { run } of wanted) {
    const view = run.ok ? await viewOf(run.value) : run;
    if (view.ok) runs.push(view.value);
    else worst = refuse(view.error, json);
  }
  if (json) process.stdout.write(`${JSON.stringify({ schemaVersion: 1, runs })}\n`);
  else process.stdout.write(describe(runs, stateDir.value));
  if (worst !== exitStatus.done) return worst;
  return options.exitCode && !runs.some((run) => run.active) ? exitStatus.noneActive : exitStatus.done;
}

async function viewOf(run: Run): Promise<Result<RunStatus>> {
  const [record, holder] = await Promise.all([
    readState<StateRecord>(run.paths.state),
    probeLock({ dir: run.dir, keepIn: run.dir }),
  ]);
  if (!record.ok) return record;
  if (!record.value) return fail(`run ${run.name} has not begun yet`, exitStatus.done);
  return ok(viewRun({ ...record.value, run: run.name }, holder !== undefined));
}

function describe(runs: readonly RunStatus[], stateDir: string): string {
  if (runs.length === 0) return `no runs in ${stateDir}\n`;
  const now = Date.now();
  return `${runs.map((run) => describeRun(run, now)).join('\n')}\n`;
}
