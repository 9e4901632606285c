import os from 'node:os';
import path from 'node:path';
import v8 from 'node:v8';
import { isDeepStrictEqual } from 'node:util';
import type { GlobalOptions } from '../cli.js';
import type { Line, Telling } from '../report/narrate.js';
import { summarizeRun } from '../report/summary.js';
import { captureLaunch, type LaunchFlags, type LaunchRecord } from '../runs/launch-record.js';
import { attemptDirOf } from '../runs/run-dir.js';
import { type LogFields, openSupervisorLog } from '../runs/supervisor-log.js';
import type { CheckpointStore } from '../supervisor/ports.js';
import { supervise } from '../supervisor/supervise.js';
import { maskArgv } from '../util/mask.js';
import { exitStatus, type Problem, ProblemError } from '../util/result.js';
import { overWords } from './done-already.js';
import { describePlan } from './dry-run.js';
import { inheritanceOf } from './inheritance.js';
import { createEcho, noEcho } from './echo.js';
import { createNotifier } from './notify.js';
import { createObserver } from './observer.js';
import { createOutput } from './output.js';
import { keepIncidents } from './report-incidents.js';
import { refuse } from './refuse.js';
import { flagsToRecord } from './relaunch.js';
import { placesOf, settingsOf, systemClock, wire } from './run-parts.js';
import { planRun } from './plan-run.js';
import type { RunServer } from './serve-run.js';
import { serveWorkers } from './serve-workers.js';
import { listenToSignals } from './signals.js';
import { takeUp } from './take-up.js';
import { openTether, type Tether, tetherOutput } from './tether.js';

export interface RunOptions extends GlobalOptions, LaunchFlags {
  readonly config?: string;
  readonly name?: string;
  /** False with --no-rollback. */
  readonly rollback: boolean;
  readonly dryRun?: true;
  readonly detach?: true;
  /** We are what --detach has started; see `openTether`. */
  readonly detached?: string;
  readonly unlessDone?: true;
  /** Do nothing if the run has ended in any way, and end as it did; for who takes over a run from a dead supervisor. */
  readonly unlessEnded?: true;
}

/** A launch that is repeated. */
export interface Relaunch {
  readonly record: LaunchRecord;
  /** What of its circumstances could not be had again. */
  readonly troubles: readonly string[];
  readonly tether: Tether | undefined;
}

/** How long a terminal that stands still is waited for at the end, ms. */
const echoPatienceMs = 10_000;
/** How long notifications that are under way are waited for at the end, ms; to end one takes up to 2 s: 10 s in all. */
const notifyPatienceMs = 8000;

/**
 * `trainguard run`: supervises a training command to its end.
 * @param again the launch that this one repeats (`trainguard resume`), whose circumstances are ours by now
 */
export async function run(
  command: readonly string[],
  options: RunOptions,
  again?: Relaunch,
): Promise<number> {
  if (options.detach && options.detached === undefined && !options.dryRun) {
    const { detach } = await import('./detach.js');
    return detach(process.argv.slice(2), options);
  }
  boundMemory();
  const json = options.json === true;
  const tether = again ? again.tether : openTether(options.detached);
  const turnDown = (problem: Problem): number => {
    tether?.say({ type: 'refused', problem });
    return refuse(problem, json);
  };
  const planned = await planRun(command, options);
  if (!planned.ok) return turnDown(planned.error);
  const plan = planned.value;
  if (options.dryRun) return describePlan(plan, options);

  // until the run's folder is ours there is no log to write to
  const early: Line[] = [];
  let log: (line: Line, fields?: LogFields) => void = (line) => early.push(line);
  const output = tether ? tetherOutput(tether) : createOutput(options, (text) => log({ tone: 'note', text }));
  const notice = (text: string): void => {
    const line: Line = { tone: 'warning', text };
    log(line);
    output.say([line]);
    if (json) output.json({ type: 'notice', at: new Date().toISOString(), text });
  };
  for (const text of [...plan.notices, ...(again?.troubles ?? [])]) notice(text);
  const unless = options.unlessEnded ? 'ended' : options.unlessDone ? 'done' : undefined;
  const taken = await takeUp(plan, systemClock, notice, unless);
  if (!taken.ok) return turnDown(taken.error);
  if ('ended' in taken.value) {
    const { run: left, ended } = taken.value;
    const exitCode = unless === 'ended' ? ended.exitCode : exitStatus.done;
    output.say([{ tone: 'note', text: overWords(left.name, ended) }]);
    tether?.say({ type: 'over', exitCode });
    return exitCode;
  }
  const held = taken.value;
  let outcome: number = exitStatus.internal;
  let over: number | undefined;
  let broken = false;
  let served: RunServer | undefined;
  const tellOfWorkers = (lines: readonly Line[]): void => {
    for (const line of lines) {
      log(line);
      if (json) output.json({ type: 'workers', at: new Date().toISOString(), text: line.text });
    }
    if (lines.length > 0) output.say(lines);
  };
  try {
    const supervisorLog = await openSupervisorLog(held.run.paths.log);
    log = ({ tone, text }, fields) => supervisorLog.info(text, { tone, ...fields });
    for (const line of early) log(line);
    const [was, is] = [held.last?.settings.command, maskArgv(plan.argv)];
    if (was && !isDeepStrictEqual(was, is)) {
      notice(`another command than recorded: it was "${was.join(' ')}", it is now "${is.join(' ')}"`);
    }
    const [before, now] = [held.last && placesOf(held.last.settings), placesOf(settingsOf(plan, held))];
    if (before !== undefined && before !== now) {
      notice(`checkpoints are in another folder than recorded: it was ${before}, it is now ${now}`);
    }
    const flags = flagsToRecord(options, plan.configFile);
    const launch = await held.recordLaunch(
      // what could not be had again now may be had the next time
      again ? { ...again.record, flags } : captureLaunch(plan.argv, flags),
    );
    if (!launch.ok) return turnDown(launch.error);

    // without a terminal nobody is there to show the training's output to
    const echo = tether ? noEcho : createEcho(output, notice);
    const telling: Telling = {
      run: held.run.name,
      command: maskArgv(plan.argv).join(' '),
      checkpoints: held.store
        ? `checkpoints in ${placesIn(held.store).map(relative).join(', ')} (${held.store.layout}; ${plan.checkpoints?.words ?? ''})`
        : 'checkpoints: none: no rollback (name their folder with --checkpoint-dir)',
    };
    const incidents = await keepIncidents(
      held.run.paths.incidents,
      {
        run: held.run.name,
        attemptDir: (attempt) => attemptDirOf(held.run.dir, attempt),
        vault: () => held.store?.vault,
      },
      notice,
    );
    const observe = createObserver({
      ...{ runDir: held.run.dir, telling, json, output, echo, tether },
      shown: inheritanceOf(held.history.state, held.last)?.offsets,
      log: (line) => log(line),
      note: (happening) => incidents.note(happening),
    });
    const notifier = createNotifier({
      targets: plan.notify,
      facts: { run: held.run.name, host: os.hostname(), runDir: held.run.dir, cwd: plan.cwd },
      notice,
    });
    const workers = await serveWorkers(plan, held, tellOfWorkers, notice);
    if (!workers.ok) return turnDown(workers.error);
    served = workers.value;
    const wired = await wire(plan, held, served, {
      observe(happening) {
        observe(happening);
        notifier.tell(happening);
      },
      notice,
      incident: () => incidents.last,
    });
    if (!wired.ok) return turnDown(wired.error);
    const supervisor = supervise(wired.value.parts, held.history.state);
    const unlisten = listenToSignals({
      // once the run is over only a slow reader is waited for
      stop: (by) => (over === undefined ? supervisor.requestStop(by) : process.exit(over)),
      hangup: () => output.detach(),
    });
    const ended = await supervisor.ended;
    await wired.value.close();
    await served?.close();
    await incidents.close();
    await held.release();
    over = ended.exitCode;
    await Promise.all([echo.finish(echoPatienceMs), notifier.close(notifyPatienceMs)]);
    const logs = relative(held.run.dir);
    const last = summarizeRun(ended, logs, (attempt) => {
      const file = incidents.fileOf(attempt);
      return file === undefined ? undefined : relative(file);
    });
    output.say(last);
    for (const line of last) log(line, { summary: true });
    const { outcome: how, exitCode } = ended;
    const summary = { type: 'summary', outcome: how, exitCode, run: wired.value.view() };
    if (json) output.json(summary);
    tether?.say({ type: 'over', exitCode, summary });
    unlisten();
    supervisorLog.close();
    outcome = ended.exitCode;
    return outcome;
  } catch (error) {
    broken = true;
    if (error instanceof ProblemError) return (outcome = turnDown(error.problem));
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    log({ tone: 'failure', text: `internal error: ${text}` });
    tether?.say({
      type: 'refused',
      problem: { message: `internal error: ${text}`, exit: exitStatus.internal },
    });
    process.stderr.write(`trainguard: internal error: ${text}\nthe training goes on without supervision\n`);
    return outcome;
  } finally {
    try {
      await served?.close();
    } finally {
      await held.release();
    }
    // a pipe that nobody reads, or what watches a worker after a bug, would keep the process alive for ever
    if (!(await output.finish(echoPatienceMs)) || broken) process.exit(outcome);
  }
}

/**
 * A supervisor lives for weeks beside a training that wants the memory: V8 grows its heap slowly here instead of
 * quickly (a million heartbeats: 92 instead of 160 MB at the peak).
 */
function boundMemory(): void {
  v8.setFlagsFromString('--semi-space-growth-factor=1');
  v8.setFlagsFromString('--heap-growing-percent=30');
}

/** Where checkpoints are; of a glob that matches nothing yet, where it begins. */
const placesIn = ({ dir, dirs = [] }: CheckpointStore): readonly string[] => (dirs.length > 0 ? dirs : [dir]);

/** As a person would type it. */
function relative(dir: string): string {
  const short = path.relative(process.cwd(), dir);
  return short !== '' && !short.startsWith('..') ? short : dir;
}
