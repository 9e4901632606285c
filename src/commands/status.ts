import type { GlobalOptions } from '../cli.js';
import { describeRun } from '../report/describe-run.js';
import { isIncident } from '../report/incident.js';
import {
  type RunStatus,
  type StateRecord,
  viewRun,
  viewSupervisor,
  viewUnbegun,
} from '../report/status-view.js';
import { newestIncident } from '../runs/incidents.js';
import { listRuns, readState, type Run } from '../runs/open-run.js';
import { exitStatus, ok, type Problem, type Result } from '../util/result.js';
import { stateDirOf } from './seeker.js';

// Called every few seconds by scripts and prompts, so what few calls need is loaded when they do: each file costs one
// percent of Node's own start. The bench test/bench/status.mjs holds the whole to 1.5 times that.

export interface StatusOptions extends GlobalOptions {
  readonly exitCode?: true;
}

/**
 * `trainguard status [run]`: 0 whenever it could answer, 4 unknown run; with --exit-code 3 if none is active. Of
 * several runs, one whose record is damaged is told on stderr and decides the exit status; the others are shown.
 */
export async function status(name: string | undefined, options: StatusOptions): Promise<number> {
  const json = options.json === true;
  const stateDir = await stateDirOf(options);
  if (!stateDir.ok) return refuse(stateDir.error, json);
  const found = await runsOf(stateDir.value, name);
  if (!found.ok) return refuse(found.error, json);
  const views = await Promise.all(found.value.map(async (run) => (run.ok ? await viewOf(run.value) : run)));
  const runs = views.flatMap((view) => (view.ok ? [view.value] : []));
  const problems = views.flatMap((view) => (view.ok ? [] : [view.error]));
  const [problem] = problems;
  if (problem && name !== undefined) return refuse(problem, json);
  if (problem) (await import('./refuse.js')).complain(problems);
  if (json) process.stdout.write(`${JSON.stringify({ schemaVersion: 1, runs })}\n`);
  else if (views.length === 0) process.stdout.write(`no runs in ${stateDir.value}\n`);
  else if (runs.length > 0) process.stdout.write(describe(runs));
  if (problem) return Math.max(...problems.map(({ exit }) => exit));
  return options.exitCode && !runs.some((run) => run.active) ? exitStatus.noneActive : exitStatus.done;
}

async function refuse(problem: Problem, json: boolean): Promise<number> {
  const { refuse } = await import('./refuse.js');
  return refuse(problem, json);
}

/** The run of that name, or all of them. */
async function runsOf(stateDir: string, name: string | undefined): Promise<Result<readonly Result<Run>[]>> {
  if (name !== undefined) {
    const { validRunName } = await import('../runs/valid-run-name.js');
    const valid = validRunName(name);
    if (!valid.ok) return valid;
  }
  const listed = await listRuns(stateDir);
  if (!listed.ok) return listed;
  if (name === undefined) return ok(listed.value.map(({ run }) => run));
  const wanted = listed.value.find((one) => one.name === name);
  if (wanted) return ok([wanted.run]);
  const { unknownRun } = await import('./find-run.js');
  return unknownRun(
    name,
    listed.value.map((one) => one.name),
    stateDir,
  );
}

/** A run as it is known from outside. */
export async function viewOf(run: Run): Promise<Result<RunStatus>> {
  const read = await readState<StateRecord>(run.paths.state);
  if (!read.ok) return read;
  const record = read.value && { ...read.value, run: run.name };
  const incident = await newestIncident(run.paths.incidents, isIncident);
  if (record?.state.name === 'ended') return ok(viewRun(record, false, { incident }));
  const { supervisionOf } = await import('./supervision.js');
  const now = Date.now();
  const seen = await supervisionOf(run, record, now);
  if (!seen.ok) return seen;
  const { active, supervisor, writtenAt } = seen.value;
  const view = supervisor ? viewSupervisor(supervisor, writtenAt, now) : null;
  if (!record) return ok(viewUnbegun(run.name, active, view, active ? null : await livingPid(run), incident));
  // what runs in another place has a pid that names something else here, or nothing
  const workerAlive = active || (supervisor?.where === 'here' && (await livesOn(run, record)));
  return ok(viewRun(record, active, { workerAlive, supervisor: view, incident }));
}

/** Whether the worker of a run without a supervisor is still the process that its state names. */
async function livesOn(run: Run, { state }: StateRecord): Promise<boolean> {
  return 'pid' in state && (await livingPid(run)) === state.pid;
}

async function livingPid(run: Run): Promise<number | null> {
  const { findLivingWorker } = await import('../engines/local/launch-record.js');
  return (await findLivingWorker(run.dir))?.pid ?? null;
}

function describe(runs: readonly RunStatus[]): string {
  const now = Date.now();
  return `${runs.map((run) => describeRun(run, now)).join('\n')}\n`;
}
