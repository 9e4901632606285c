import type { GlobalOptions } from '../cli.js';
import { loadConfig } from '../config/load.js';
import { type Check, doctorReport, doctorStatus, doctorText, fails, fine, warn } from '../report/doctor-check.js'; // prettier-ignore
import { judgeResume } from '../report/doctor-checkpoints.js';
import { judgeCommand } from '../report/doctor-command.js';
import { judgeEngines } from '../report/doctor-engines.js';
import { judgeFolder, judgeLocks } from '../report/doctor-folders.js';
import { judgeMachine } from '../report/doctor-machine.js';
import { judgeTrial } from '../report/doctor-trial.js';
import type { LaunchFlags } from '../runs/launch-record.js';
import { checkpointChecks } from './doctor-checkpoints.js';
import { commandFacts, resumeFacts } from './doctor-command.js';
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
  const machine = judgeMachine(await machineFacts());
  const { checks, stoppedBy } =
    process.platform === 'win32' ? { checks: [] } : await trainingChecks(command, options);
  const all = [...machine, ...judgeEngines(await engineFacts(process.env)), ...checks];
  const text = options.json === true ? `${JSON.stringify(doctorReport(all))}\n` : doctorText(all, options.quiet === true); // prettier-ignore
  process.stdout.write(text);
  return stoppedBy ?? doctorStatus(all);
}

interface Seen {
  readonly checks: readonly Check[];
  /** A signal ended the trial: the exit status that says so. */
  readonly stoppedBy?: number;
}

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
  const planned = await planRun(command, options);
  if (!planned.ok) return { checks: [...configuration, fails('run', planned.error.message)] };
  const { checks, stoppedBy } = await planChecks(planned.value, options);
  return { checks: [...configuration, ...checks], ...(stoppedBy !== undefined && { stoppedBy }) };
}

/** The folder for runs, where there is no command. */
async function stateChecks(options: DoctorOptions): Promise<readonly Check[]> {
  const stateDir = await stateDirOf(options);
  if (!stateDir.ok) return [fails('state folder', stateDir.error.message)];
  return judgeFolder(await folderFacts('state folder', stateDir.value, true));
}

async function planChecks(plan: RunPlan, options: DoctorOptions): Promise<Seen> {
  const judged = judgeCommand(commandFacts(plan, process.env));
  const state = judgeFolder(await folderFacts('state folder', plan.stateDir, true));
  const seen = await checkpointChecks(plan);
  const locks = judgeLocks(await lockFacts(plan, seen.dirs));
  const resume = judgeResume(await resumeFacts(plan, seen.layout));
  const checks = [...judged, ...state, ...locks, ...seen.checks, resume];
  if (options.try === undefined) return { checks };
  if (doctorStatus([...judged, ...locks]) !== 0)
    return { checks: [...checks, warn('trial', 'not made, since the command or its folders cannot be had')] };
  const tried = await tryCommand(plan, options, options.try === true ? undefined : options.try);
  if (!tried.ok) return { checks: [...checks, warn('trial', `not made: ${tried.error.message}`)] };
  const { facts, stoppedBy } = tried.value;
  return { checks: [...checks, ...judgeTrial(facts)], ...(stoppedBy !== undefined && { stoppedBy }) };
}
