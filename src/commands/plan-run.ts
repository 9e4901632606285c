import path from 'node:path';
import { discoverCheckpointDir } from '../checkpoints/discovery.js';
import { vetAside } from '../checkpoints/include/vet.js';
import { baseOf } from '../checkpoints/many/glob.js';
import { isLayoutName, layoutNames } from '../checkpoints/layouts/registry.js';
import { loadConfig } from '../config/load.js';
import { resolvePolicy, resolveSettings, type Settings } from '../config/resolve.js';
import { resolveCommand } from '../engines/local/resolve-command.js';
import { validRunName } from '../runs/run-name.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { nearest } from '../util/text.js';
import { type NotifyTarget, notifyTarget } from './notify-target.js';
import { planResume } from './resume-plan.js';
import type { RunOptions } from './run.js';
import type { CheckpointPlan, RunPlan } from './run-plan.js';
import { seekerOf } from './seeker.js';

/** What `run` was asked for: flags over configuration over defaults, checked as far as that needs no writing. */
export async function planRun(command: readonly string[], options: RunOptions): Promise<Result<RunPlan>> {
  const cwd = process.cwd();
  const loaded = await loadConfig(seekerOf(options));
  if (!loaded.ok) return loaded;
  const { config, file, notices, patterns } = loaded.value;
  const settings = resolveSettings(config, options, {
    cwd,
    env: process.env,
    ...(file !== undefined && { configFile: file }),
  });
  const [program, ...words] = command.length > 0 ? command : (settings.command ?? []);
  if (program === undefined || program === '') {
    return fail(
      'no command to run; it goes behind --, as in "trainguard run -- python train.py"',
      exitStatus.usage,
    );
  }
  if (settings.name !== undefined) {
    const name = validRunName(settings.name);
    if (!name.ok) return name;
  }
  if (settings.engine !== 'local') {
    return fail(`engine ${settings.engine} is not in this version; use local`, exitStatus.config);
  }
  const resume = planResume(settings.resume, options.resumeArgs);
  if (!resume.ok) return resume;
  const checkpoints = await planCheckpoints(settings, [program, ...words], cwd, options.layout !== undefined);
  if (!checkpoints.ok) return checkpoints;
  const aside = planAside(settings, checkpoints.value, cwd);
  if (!aside.ok) return aside;
  const notify = planNotify(settings, options.notify !== undefined);
  if (!notify.ok) return notify;
  return ok({
    argv: [program, ...words],
    cwd,
    stateDir: settings.stateDir,
    policy: resolvePolicy(config, options),
    resume: resume.value,
    stdin: settings.stdin,
    logs: settings.logs,
    preflight: settings.preflight,
    hooks: settings.hooks,
    notify: notify.value,
    ...(settings.serve && { serve: settings.serve }),
    ...(settings.checkpoints.settleMs !== undefined && { settleMs: settings.checkpoints.settleMs }),
    ...(aside.value && { aside: aside.value }),
    verify: settings.checkpoints.verify,
    keep: settings.checkpoints.keep,
    notices: [...notices, ...missingCommands(settings, notify.value, cwd)],
    heartbeat: settings.heartbeat,
    ...(patterns && { patterns }),
    ...(file !== undefined && { configFile: file }),
    ...(settings.name !== undefined && { name: settings.name }),
    ...(checkpoints.value && { checkpoints: checkpoints.value }),
  });
}

async function planCheckpoints(
  settings: Settings,
  argv: readonly string[],
  cwd: string,
  byFlag: boolean,
): Promise<Result<CheckpointPlan | undefined>> {
  const { dirs, layout = 'auto', vault } = settings.checkpoints;
  if (layout !== 'auto' && !isLayoutName(layout)) {
    const near = nearest(layout, layoutNames);
    const hint = near === undefined ? '' : ` (did you mean ${near}?)`;
    return fail(
      `unknown layout ${layout}${hint}; there are auto, ${layoutNames.join(', ')}`,
      byFlag ? exitStatus.usage : exitStatus.config,
    );
  }
  const rest = { layout, ...(vault !== undefined && { vault }) };
  const [first, ...more] = dirs;
  if (first === undefined) {
    const found = await discoverCheckpointDir(argv, cwd);
    return ok(found && { dirs: [found.dir], guessed: true, words: found.words, ...rest });
  }
  const inside = dirs.find((dir) => isWithin(settings.stateDir, baseOf(dir)));
  if (inside !== undefined) {
    return fail(
      `the checkpoint folder ${inside} is inside the state folder ${settings.stateDir}; name a folder outside it`,
      exitStatus.config,
    );
  }
  return ok({ dirs: [first, ...more], guessed: false, words: 'named', ...rest });
}

/** What is kept and cleared outside the checkpoint folders; undefined: nothing. */
function planAside(
  settings: Settings,
  plan: CheckpointPlan | undefined,
  cwd: string,
): Result<RunPlan['aside']> {
  const { include, clean } = settings.checkpoints;
  if (include.length === 0 && clean.length === 0) return ok(undefined);
  const dirs = (plan?.dirs ?? []).map(baseOf);
  const siblings = dirs.map((dir) => path.join(path.dirname(dir), `.${path.basename(dir)}.trainguard`));
  const vaults = plan?.vault === undefined ? siblings : [plan.vault];
  const vetted = vetAside(
    { include, clean },
    { checkpoints: dirs, vaults, stateDir: settings.stateDir, cwd },
  );
  return vetted.ok ? ok({ include, clean }) : vetted;
}

/** A command that cannot be found when it is needed is found out now. */
function missingCommands(
  { preflight, hooks }: Settings,
  notify: readonly NotifyTarget[],
  cwd: string,
): readonly string[] {
  const all: readonly (readonly [where: string, program: string])[] = [
    ...preflight.map(({ argv }) => ['preflight', argv[0]] as const),
    ...Object.entries(hooks).map(([name, { argv }]) => [`hook ${name}`, argv[0]] as const),
    ...notify.flatMap((to) => (to.type === 'command' ? [['notify', to.argv[0]] as const] : [])),
  ];
  return all.flatMap(([where, program]) => {
    const found = resolveCommand(program, process.env, cwd);
    return found.ok ? [] : [`${where}: ${found.error.message}`];
  });
}

function planNotify(settings: Settings, byFlag: boolean): Result<readonly NotifyTarget[]> {
  const targets: NotifyTarget[] = [];
  for (const wish of settings.notify) {
    const target = notifyTarget(wish, byFlag);
    if (!target.ok) return target;
    targets.push(target.value);
  }
  return ok(targets);
}

/** Whether `dir` is `folder` or lies below it, by name. */
function isWithin(folder: string, dir: string): boolean {
  const inside = path.relative(folder, dir);
  return (
    inside === '' || (inside !== '..' && !inside.startsWith(`..${path.sep}`) && !path.isAbsolute(inside))
  );
}
