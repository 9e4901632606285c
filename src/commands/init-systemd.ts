import path from 'node:path';
import type { GlobalOptions } from '../cli.js';
import { systemdUnit, unitFileName } from '../report/systemd-unit.js';
import type { LaunchFlags } from '../runs/launch-record.js';
import { defaultRunName } from '../runs/run-name.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { findRun } from './find-run.js';
import { planRun } from './plan-run.js';
import { refuse } from './refuse.js';
import { absoluteFlags, launchOf, relive } from './relaunch.js';
import { stateDirOf } from './seeker.js';

export interface InitOptions extends GlobalOptions, LaunchFlags {
  readonly config?: string;
  readonly systemd?: true;
  readonly run?: string;
  readonly name?: string;
  readonly rollback: boolean;
}

/** `trainguard init --systemd`: prints a user unit that keeps a run going across logouts, crashes and reboots. */
export async function init(command: readonly string[], options: InitOptions): Promise<number> {
  const json = options.json === true;
  const planned = await planUnit(command, options);
  if (!planned.ok) return refuse(planned.error, json);
  const { name, unit } = planned.value;
  process.stdout.write(json ? `${JSON.stringify({ run: name, file: unitFileName(name), unit })}\n` : unit);
  return exitStatus.done;
}

/** What of the environment a command is found and finds its libraries by. */
const findingVariables = [
  ...['PATH', 'LD_LIBRARY_PATH', 'PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV'],
  ...['CONDA_PREFIX', 'CONDA_DEFAULT_ENV', 'CUDA_HOME', 'CUDA_VISIBLE_DEVICES'],
];

async function planUnit(
  command: readonly string[],
  options: InitOptions,
): Promise<Result<{ readonly name: string; readonly unit: string }>> {
  if (!options.systemd) {
    return fail(
      'init writes systemd units only, in this version; say "trainguard init --systemd"',
      exitStatus.usage,
    );
  }
  const program = [process.execPath, path.resolve(process.argv[1] ?? '')];
  const flags = absoluteFlags(options);
  if (options.run === undefined) {
    const plan = await planRun(command, options);
    if (!plan.ok) return plan;
    const { stateDir, argv, cwd, policy } = plan.value;
    const name = plan.value.name ?? defaultRunName(argv);
    const words = [
      'run',
      '--name',
      name,
      '--state-dir',
      stateDir,
      '--unless-done',
      ...flagWords(flags),
      '--',
      ...argv,
    ];
    return unitOf(name, cwd, [...program, ...words], policy.stop.graceMs, findingVariables);
  }
  if (command.length > 0 || options.name !== undefined) {
    return fail('say either --run, or a command and its --name, not both', exitStatus.usage);
  }
  const stateDir = await stateDirOf(options);
  const found = stateDir.ok ? await findRun(stateDir.value, options.run) : stateDir;
  if (!stateDir.ok || !found.ok) return found as Result<never>;
  const record = await launchOf(found.value);
  if (!record.ok) return record;
  const relived = relive(record.value);
  if (!relived.ok) return relived;
  const plan = await planRun(record.value.argv, {
    rollback: true,
    color: false,
    ...record.value.flags,
    ...flags,
  });
  if (!plan.ok) return plan;
  const words = ['resume', options.run, '--state-dir', stateDir.value, '--unless-done', ...flagWords(flags)];
  return unitOf(options.run, record.value.cwd, [...program, ...words], plan.value.policy.stop.graceMs, []);
}

function unitOf(
  name: string,
  cwd: string,
  argv: readonly string[],
  graceMs: number,
  variables: readonly string[],
): Result<{ readonly name: string; readonly unit: string }> {
  if (/\n|^\s|\s$|\\$/.test(cwd)) {
    return fail(`a unit cannot name the folder ${JSON.stringify(cwd)}; rename it`, exitStatus.usage);
  }
  const env = variables.flatMap((variable): [string, string][] => {
    const value = process.env[variable];
    return value === undefined ? [] : [[variable, value]];
  });
  return ok({ name, unit: systemdUnit({ run: name, cwd, argv, env, graceMs }) });
}

/** Flags as they would be typed. */
function flagWords(flags: LaunchFlags): string[] {
  const ms = (value: number | undefined): string | undefined => (value === undefined ? value : `${value}ms`);
  const valued: Readonly<Record<string, string | number | undefined>> = {
    '--config': flags.config,
    '--layout': flags.layout,
    '--resume-args': flags.resumeArgs,
    '--max-retries': flags.maxRetries,
    '--backoff-initial': ms(flags.backoffInitial),
    '--backoff-max': ms(flags.backoffMax),
    '--heartbeat-timeout': ms(flags.heartbeatTimeout),
    '--startup-timeout': ms(flags.startupTimeout),
    '--stop-grace': ms(flags.stopGrace),
    '--vault': flags.vault,
  };
  return [
    ...(flags.checkpointDir ?? []).map((dir) => `--checkpoint-dir=${dir}`),
    ...(flags.notify ?? []).map((target) => `--notify=${target}`),
    ...Object.entries(valued).flatMap(([flag, value]) => (value === undefined ? [] : [`${flag}=${value}`])),
    ...(flags.serve === undefined ? [] : [flags.serve === true ? '--serve' : `--serve=${flags.serve}`]),
    ...(flags.rollback === false ? ['--no-rollback'] : []),
    ...(flags.allowScratch ? ['--allow-scratch'] : []),
  ];
}
