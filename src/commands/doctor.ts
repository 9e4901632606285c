import type { GlobalOptions } from '../cli.js';
import { loadConfig } from '../config/load.js';
import { type Check, doctorReport, doctorStatus, doctorText, fails, fine, warn } from '../report/doctor-check.js'; // prettier-ignore
import { judgeResume } from '../report/doctor-checkpoints.js';
import { judgeCommand, judgeHelpers } from '../report/doctor-command.js';
import { judgeEngines } from '../report/doctor-engines.js';
import { judgeFolder, judgeLocks } from '../report/doctor-folders.js';
import { judgeMachine } from '../report/doctor-machine.js';
import { judgeTrial } from '../report/doctor-trial.js';
import type { LaunchFlags } from '../runs/launch-record.js';
import { formatDuration } from '../util/duration.js';
import { checkpointChecks } from './doctor-checkpoints.js';
import { commandFacts, helperFacts, resumeFacts } from './doctor-command.js';
import { engineFacts } from './doctor-engines.js';
import { folderFacts } from './doctor-folders.js';
import { lockFacts } from './doctor-locks.js';
import { machineFacts } from './doctor-machine.js';
import { tryCommand } from './doctor-trial.js';
import { planRun } from './plan-run.js';
import type { RunPlan } from './run-plan.js';
import { seekerOf, stateDirOf } from './seeker.js';

export interface DoctorOptions extends GlobalOptions, LaunchFlags {
  readonly config?: string;
  readonly name?: string;
  /** False with --no-rollback. */
  readonly rollback: boolean;
  /** Run the command for so long, ms; true: as long as usual. */
  readonly try?: number | true;
}

/**
 * `trainguard doctor`: says what would fail before it does, without a command for the machine alone.
 * @returns 1 if something would fail; 130 or 143 if a signal ended its trial
 */
export async function doctor(command: readonly string[], options: DoctorOptions): Promise<number> {
  const machine = judgeMachine(await machineFacts(command[0]));
  const { checks, stoppedBy, stuck } = process.platform === 'win32' ? { checks: [] } : await trainingChecks(command, options); // prettier-ignore
  const all = [...machine, ...judgeEngines(await engineFacts(process.env)), ...checks];
  const text = options.json === true ? `${JSON.stringify(doctorReport(all))}\n` : doctorText(all, options.quiet === true); // prettier-ignore
  const status = stoppedBy ?? doctorStatus(all);
  // what waits for a dead file system would keep the process alive for ever
  process.stdout.write(text, () => stuck && process.exit(status));
  return status;
}

interface Seen {
  readonly checks: readonly Check[];
  /** A signal ended the trial: the exit status that says so. */
  readonly stoppedBy?: number;
  /** Something did not answer, and still may. */
  readonly stuck?: true;
}

/** How long folders may take to answer, ms: reading checkpoints is bounded by itself, at a minute. */
const patienceMs = 3 * 60_000;

/** A file system whose server is away never lets go of who asks it. */
async function answered<T>(work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, patienceMs, undefined);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

const noAnswer = fails('folders', `one of them did not answer within ${formatDuration(patienceMs)}`, 'see whether its file system is there ("df" shows which one hangs)'); // prettier-ignore

async function trainingChecks(command: readonly string[], options: DoctorOptions): Promise<Seen> {
  const loaded = await loadConfig(seekerOf(options));
  if (!loaded.ok) return { checks: [fails('configuration', loaded.error.message)] };
  const { file, config, notices } = loaded.value;
  const configuration = [
    fine('configuration', file === undefined ? 'none: flags and defaults hold' : `${file} is valid`),
    ...notices.map((text) => warn('configuration', text)),
  ];
  if (command.length === 0 && config.command === undefined) {
    const none = warn('command', 'none was given, so only the machine was looked at', 'trainguard doctor -- python train.py'); // prettier-ignore
    return { checks: [...configuration, ...(await stateChecks(options)), none] };
  }
  const planned = await answered(planRun(command, options));
  if (!planned) return { checks: [...configuration, noAnswer], stuck: true };
  if (!planned.ok) return { checks: [...configuration, fails('run', planned.error.message)] };
  const plan = planned.value;
  const seen = await answered(planChecks(plan));
  if (!seen) return { checks: [...configuration, noAnswer], stuck: true };
  const checks = [...configuration, ...seen];
  return options.try === undefined ? { checks } : withTrial(plan, options, checks);
}

/** The folder for runs, where there is no command. */
async function stateChecks(options: DoctorOptions): Promise<readonly Check[]> {
  const stateDir = await stateDirOf(options);
  if (!stateDir.ok) return [fails('state folder', stateDir.error.message)];
  return judgeFolder(await folderFacts('state folder', stateDir.value, true));
}

async function planChecks(plan: RunPlan): Promise<readonly Check[]> {
  const state = judgeFolder(await folderFacts('state folder', plan.stateDir, true));
  const seen = await checkpointChecks(plan);
  const locks = judgeLocks(await lockFacts(plan, seen.dirs));
  const resume = judgeResume(await resumeFacts(plan, seen.layout));
  return [
    ...judgeCommand(commandFacts(plan, process.env)),
    ...judgeHelpers(helperFacts(plan, process.env)),
    ...state,
    ...locks,
    ...seen.checks,
    resume,
  ];
}

/** Trains for a short time, unless it is clear already that this cannot be done. */
async function withTrial(plan: RunPlan, options: DoctorOptions, checks: readonly Check[]): Promise<Seen> {
  const inTheWay = checks.find(({ level, about }) => level === 'fail' && needed.has(about));
  if (inTheWay)
    return { checks: [...checks, warn('trial', `not made, since this would fail: ${inTheWay.about}`)] };
  const tried = await tryCommand(plan, options, options.try === true ? undefined : options.try);
  if (!tried.ok) return { checks: [...checks, warn('trial', `not made: ${tried.error.message}`)] };
  const { facts, stoppedBy } = tried.value;
  return { checks: [...checks, ...judgeTrial(facts)], ...(stoppedBy !== undefined && { stoppedBy }) };
}

const needed: ReadonlySet<string> = new Set(['command', 'script', 'lock']);
