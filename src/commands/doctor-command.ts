import { existsSync } from 'node:fs';
import path from 'node:path';
import { layouts } from '../checkpoints/layouts/registry.js';
import { resolveCommand } from '../engines/local/resolve-command.js';
import type { ResumeFacts } from '../report/doctor-checkpoints.js';
import type { CommandFacts, HelperFacts } from '../report/doctor-command.js';
import { readScript } from './drill-script.js';
import { idlePreset, recipeFor } from './resume-plan.js';
import type { RunPlan } from './run-plan.js';

/** Looks at what a command would start. */
export function commandFacts({ argv, cwd }: RunPlan, env: NodeJS.ProcessEnv): CommandFacts {
  const program = resolveCommand(argv[0], env, cwd);
  const script = scriptWord(argv);
  const three = !program.ok && argv[0] === 'python' && resolveCommand('python3', env, cwd).ok;
  const unbuffered = env['PYTHONUNBUFFERED'];
  return {
    argv,
    program: program.ok ? { file: program.value } : { problem: program.error.message },
    ...(three && { instead: 'python3' }),
    ...(script && {
      script: { ...script, found: existsSync(path.resolve(cwd, script.file)) },
    }),
    ...(unbuffered !== undefined && { pythonUnbuffered: unbuffered }),
  };
}

/** Looks for the programs that the configuration wants called: hooks, preflight, notify. */
export function helperFacts({ hooks, preflight, notify, cwd }: RunPlan, env: NodeJS.ProcessEnv): HelperFacts {
  const wanted = [
    ...Object.entries(hooks).map(([name, { argv }]) => ({ name, argv })),
    ...preflight.map(({ argv }) => ({ name: 'preflight', argv })),
    ...notify.flatMap((target) => (target.type === 'command' ? [{ name: 'notify', argv: target.argv }] : [])),
  ];
  const missing = wanted.flatMap(({ name, argv }) => {
    const found = resolveCommand(argv[0], env, cwd);
    return found.ok ? [] : [{ name, problem: found.error.message }];
  });
  return { count: wanted.length, missing };
}

/** In a container, on another machine: its files are not ours to look at. */
const elsewhere = /(?:^|\/)(?:docker|podman|nerdctl|kubectl|apptainer|singularity|enroot|ssh|pdsh)$/;

/** The word that names the script, by its ending; not certain where it may be the value of a flag. */
function scriptWord(argv: readonly string[]): { file: string; certain: boolean } | undefined {
  if (elsewhere.test(argv[0] ?? '')) return undefined;
  const at = argv.findIndex(
    (word, index) => index > 0 && !word.startsWith('-') && /\.(?:py|sh|bash|jl|R|js|mjs|ts|lua|rb|pl)$/.test(word) && !/\s/.test(word), // prettier-ignore
  );
  const file = argv[at];
  return file === undefined ? undefined : { file, certain: !(argv[at - 1] ?? '').startsWith('--') };
}

/** What the command, the configuration, the layout and the script's own text say of resuming. */
export async function resumeFacts(plan: RunPlan, layout: string): Promise<ResumeFacts> {
  const { args = [], env = {}, replace = {} } = recipeFor(plan.resume, layout);
  const parts = [
    ...(args.length > 0 ? [args.join(' ')] : []),
    ...Object.entries(replace).map(([word, other]) => `${other} for ${word}`),
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
  ];
  const idle = idlePreset(plan.resume, layout);
  const known = layouts.find(({ name }) => name === layout && name !== 'generic');
  const script = await readScript(plan.argv, plan.cwd);
  return {
    argv: plan.argv,
    ...(parts.length > 0 && { recipe: parts.join(', ') }),
    ...(idle !== undefined && { idle }),
    ...(known && {
      framework: {
        title: known.title,
        advice: known.resume.advice,
        ...(known.resume.args && { args: known.resume.args }),
      },
    }),
    ...(script && { script }),
  };
}
