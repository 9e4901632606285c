import { setTimeout as sleep } from 'node:timers/promises';
import type { GlobalOptions } from '../cli.js';
import { attemptFiles } from '../engines/local/attempt-files.js';
import { attemptDirs } from '../engines/local/launch-record.js';
import type { State } from '../policy/state.js';
import { describePlace } from '../report/describe-run.js';
import { isIncident } from '../report/incident.js';
import type { Line, Tone } from '../report/narrate.js';
import { type StateRecord, viewRun } from '../report/status-view.js';
import { summarizeRun } from '../report/summary.js';
import { newestIncident } from '../runs/incidents.js';
import { readState, type Run } from '../runs/run-dir.js';
import { SupervisorLogReader } from '../runs/supervisor-log-reader.js';
import { lastLinesOffset } from '../util/os/last-lines.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { callArguments } from './detach.js';
import { createEcho } from './echo.js';
import { chosenRun } from './find-run.js';
import { createOutput, type Output } from './output.js';
import { refuse } from './refuse.js';
import { look } from './stop-wait.js';
import type { Supervisor } from './supervision.js';
import { takeOver } from './take-over.js';

export type AttachOptions = GlobalOptions;

type Ended = Extract<State, { name: 'ended' }>;

/** How much of the output before it came is shown, lines of each stream. */
const linesBefore = 20;
/** How often the run is looked at, ms. */
const pollMs = 200;
/** How long a terminal that stands still is waited for at the end, ms. */
const patienceMs = 10_000;
/** How many supervisors are started for a run whose supervisors keep dying. */
const mostTakeOvers = 3;

/**
 * `trainguard attach [run]`: shows what the run prints and what its supervisor says until the run ends, and ends with
 * its exit status; a run without a supervisor is given one in the background. INT, TERM, HUP and a closed pipe end
 * only the showing.
 */
export async function attach(name: string | undefined, options: AttachOptions): Promise<number> {
  const json = options.json === true;
  const found = await chosenRun(name, options);
  if (!found.ok) return refuse(found.error, json);
  const run = found.value;
  const first = await look(run);
  if (!first.ok) return refuse(first.error, json);
  const record = await readState<StateRecord>(run.paths.state);
  if (!first.value.active && !record.ok) return refuse(record.error, json);

  const left = new AbortController();
  const output = createOutput(options, () => left.abort());
  const leave = (): void => left.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, leave);
  const detached = async (): Promise<never> => {
    const text = `detached; run ${run.name} goes on (trainguard attach ${callArguments(run.name, options)} comes back)`;
    output.say([{ tone: 'note', text }]);
    if (json) output.json({ type: 'detached', run: run.name });
    await output.finish(1000);
    // readers of files that still grow would keep us here
    process.exit(exitStatus.done);
  };

  if (!first.value.active && record.ok && record.value?.state.name === 'ended') {
    await tellEnd(run, record.value, output, json);
    if (record.value.state.outcome !== 'completed') {
      const text = `trainguard resume ${callArguments(run.name, options)} goes on with it`;
      output.say([{ tone: 'detail', text }]);
    }
    return record.value.state.exitCode;
  }

  const watched = await Promise.race([follow(run, output, json, left.signal), aborted(left.signal)]);
  if (watched === undefined) return detached();
  if (watched.ok) await tellEnd(run, watched.value, output, json);
  const status = watched.ok ? watched.value.state.exitCode : refuse(watched.error, json);
  await output.finish(patienceMs);
  process.exit(status);
}

/** Shows the run, from its last lines on, until it has ended. */
async function follow(
  run: Run,
  output: Output,
  json: boolean,
  left: AbortSignal,
): Promise<Result<StateRecord & { readonly state: Ended }>> {
  const notice = (text: string): void => show(output, json, { tone: 'warning', text });
  const log = await SupervisorLogReader.open(run.paths.log);
  const echo = createEcho(output, notice);
  const shown = new Set<string>();
  const newest = (await attemptDirs(run.dir)).at(-1);
  for (const dir of await attemptDirs(run.dir)) shown.add(dir);
  if (newest !== undefined) {
    const { out, err } = attemptFiles(newest);
    echo.follow(newest, {
      out: await lastLinesOffset(out, linesBefore),
      err: await lastLinesOffset(err, linesBefore),
    });
  }
  let attachedTo: Supervisor | undefined;
  for (let takeOvers = 0; !left.aborted;) {
    // asked first: what is written before a supervisor goes is read then
    const looked = await look(run);
    if (!looked.ok) return looked;
    const { active, supervisor } = looked.value;
    for (const dir of await attemptDirs(run.dir)) {
      if (shown.has(dir)) continue;
      shown.add(dir);
      echo.follow(dir);
    }
    for (const { time, message, tone = 'note', summary } of await log.read()) {
      if (summary !== true) show(output, json, { tone: tone as Tone, text: message }, time);
    }
    if (active && supervisor && supervisor.pid !== attachedTo?.pid) {
      attachedTo = supervisor;
      greet(run, supervisor, output, json);
    }
    if (!active) {
      // once more, since what it wrote last is only there for certain now
      const record = await readState<StateRecord>(run.paths.state);
      if (!record.ok) return record;
      if (record.value?.state.name === 'ended') {
        await echo.finish(patienceMs);
        return ok({ ...record.value, state: record.value.state });
      }
      if (supervisor?.where === 'other-host' || supervisor?.where === 'other-namespace') {
        return elsewhere(run, supervisor);
      }
      if (++takeOvers > mostTakeOvers) return keepsDying(run);
      notice(`run ${run.name} has no supervisor${attachedTo ? ' any more' : ''}; starting one`);
      const started = await takeOver(run);
      if (!started.ok) return started;
    }
    await sleep(pollMs);
  }
  // whoever waits for us has been told to go
  return await new Promise(() => undefined);
}

const elsewhere = (run: Run, supervisor: Supervisor): Result<never> =>
  fail(
    `the supervisor of run ${run.name} (pid ${supervisor.pid}${describePlace(supervisor)}) is not heard of any more; ` +
      `see to it there, or go on with the run here by "trainguard resume ${run.name}"`,
    exitStatus.busy,
  );

const keepsDying = (run: Run): Result<never> =>
  fail(`the supervisors of run ${run.name} keep dying; ${run.paths.log} may say why`, exitStatus.internal);

function greet(run: Run, supervisor: Supervisor, output: Output, json: boolean): void {
  const { pid, host } = supervisor;
  const where = describePlace(supervisor);
  const follow = where === '' ? '' : '; its files are followed from here';
  const text = `attached to run ${run.name} (supervisor ${pid}${where}${follow}); Ctrl-C detaches`;
  output.say([{ tone: 'start', text }]);
  if (json) output.json({ type: 'attached', run: run.name, pid, host });
}

function show(output: Output, json: boolean, line: Line, at = new Date().toISOString()): void {
  output.say([line]);
  if (json) output.json({ type: 'said', at, ...line });
}

async function tellEnd(
  run: Run,
  record: StateRecord | undefined,
  output: Output,
  json: boolean,
): Promise<void> {
  if (record?.state.name !== 'ended') return;
  const { state } = record;
  output.say(summarizeRun(state, run.dir));
  if (!json) return;
  const { outcome, exitCode } = state;
  const incident = await newestIncident(run.paths.incidents, isIncident);
  const view = viewRun({ ...record, run: run.name }, false, { incident });
  output.json({ type: 'summary', outcome, exitCode, run: view });
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined), { once: true }));
}
