import path from 'node:path';
import v8 from 'node:v8';
import { isDeepStrictEqual } from 'node:util';
import type { GlobalOptions } from '../cli.js';
import { narrate, type Telling } from '../report/narrate.js';
import { summarizeRun } from '../report/summary.js';
import { captureLaunch, writeLaunch } from '../runs/launch-record.js';
import { attemptDirOf } from '../runs/run-dir.js';
import { openSupervisorLog } from '../runs/supervisor-log.js';
import { supervise } from '../supervisor/supervise.js';
import type { Happening } from '../supervisor/parts.js';
import { maskArgv } from '../util/mask.js';
import { exitStatus } from '../util/result.js';
import { aftermathOf } from './aftermath.js';
import { describePlan } from './dry-run.js';
import { createEcho } from './echo.js';
import { createOutput } from './output.js';
import { refuse } from './refuse.js';
import { systemClock, wire } from './run-parts.js';
import { planRun } from './plan-run.js';
import { listenToSignals } from './signals.js';
import { takeUp } from './take-up.js';

export interface RunOptions extends GlobalOptions {
  readonly name?: string;
  readonly checkpointDir?: readonly string[];
  readonly layout?: string;
  readonly resumeArgs?: string;
  readonly maxRetries?: number;
  readonly backoffInitial?: number;
  readonly backoffMax?: number;
  readonly heartbeatTimeout?: number;
  readonly startupTimeout?: number;
  readonly stopGrace?: number;
  /** False with --no-rollback. */
  readonly rollback: boolean;
  readonly vault?: string;
  readonly stdin?: true;
  readonly allowScratch?: true;
  readonly dryRun?: true;
}

/** How long a terminal that stands still is waited for at the end, ms. */
const echoPatienceMs = 10_000;

/** `trainguard run`: supervises a training command to its end. */
export async function run(command: readonly string[], options: RunOptions): Promise<number> {
  boundMemory();
  const json = options.json === true;
  const planned = await planRun(command, options);
  if (!planned.ok) return refuse(planned.error, json);
  const plan = planned.value;
  if (options.dryRun) return describePlan(plan, options);

  // until the run's folder is ours there is no log to write to
  const early: string[] = [];
  let log: (text: string) => void = (text) => early.push(text);
  const output = createOutput(options, (text) => log(text));
  const notice = (text: string): void => {
    log(text);
    output.say([{ tone: 'warning', text }]);
    if (json) output.json({ type: 'notice', at: new Date().toISOString(), text });
  };
  for (const text of plan.notices) notice(text);
  const taken = await takeUp(plan, systemClock, notice);
  if (!taken.ok) return refuse(taken.error, json);
  const held = taken.value;
  let outcome: number = exitStatus.internal;
  let over: number | undefined;
  let broken = false;
  try {
    const supervisorLog = await openSupervisorLog(held.run.paths.log);
    log = (text) => supervisorLog.info(text);
    for (const text of early) log(text);
    const [was, is] = [held.last?.settings.command, maskArgv(plan.argv)];
    if (was && !isDeepStrictEqual(was, is)) {
      notice(`another command than recorded: it was "${was.join(' ')}", it is now "${is.join(' ')}"`);
    }
    const launch = await writeLaunch(held.run.paths.launch, captureLaunch(plan.argv));
    if (!launch.ok) return refuse(launch.error, json);

    const echo = createEcho(output, notice);
    const telling: Telling = {
      run: held.run.name,
      command: maskArgv(plan.argv).join(' '),
      checkpoints: held.store
        ? `checkpoints in ${relative(held.store.dir)} (${held.store.layout}; ${plan.checkpoints?.words ?? ''})`
        : 'checkpoints: none: no rollback (name their folder with --checkpoint-dir)',
    };
    const observe = (happening: Happening): void => {
      const { event, after } = happening;
      if (event.type === 'launched') echo.follow(attemptDirOf(held.run.dir, after.ledger.attempt));
      if (event.type === 'exited') echo.attemptEnded();
      const lines = narrate(telling, happening);
      output.say(lines);
      for (const line of lines) log(line.text);
      if (json)
        output.json({
          ...event,
          at: new Date(event.at).toISOString(),
          state: after.name,
          attempt: after.ledger.attempt,
        });
    };
    const wired = await wire(plan, held, { observe, notice });
    if (!wired.ok) return refuse(wired.error, json);
    const aftermath = await aftermathOf(held, plan.policy);
    const supervisor = supervise(wired.value.parts, held.history.state, aftermath);
    const unlisten = listenToSignals({
      // once the run is over only a slow reader is waited for
      stop: (by) => (over === undefined ? supervisor.requestStop(by) : process.exit(over)),
      hangup: () => output.detach(),
    });
    const ended = await supervisor.ended;
    await wired.value.close();
    await held.release();
    over = ended.exitCode;
    await echo.finish(echoPatienceMs);
    const logs = relative(held.run.dir);
    output.say(summarizeRun(ended, logs));
    for (const line of summarizeRun(ended, logs)) log(line.text);
    if (json)
      output.json({
        type: 'summary',
        outcome: ended.outcome,
        exitCode: ended.exitCode,
        run: wired.value.view(),
      });
    unlisten();
    supervisorLog.close();
    outcome = ended.exitCode;
    return outcome;
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    log(`internal error: ${text}`);
    process.stderr.write(`trainguard: internal error: ${text}\nthe training goes on without supervision\n`);
    broken = true;
    return outcome;
  } finally {
    await held.release();
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

/** As a person would type it. */
function relative(dir: string): string {
  const short = path.relative(process.cwd(), dir);
  return short !== '' && !short.startsWith('..') ? short : dir;
}
