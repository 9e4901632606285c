/** What runs another command: how its own words are told from that command's. */
interface Wrapper {
  /** Its words before the other command, such as `run` in `conda run`. */
  readonly subcommand?: string;
  /** Options that take the next word as their value. */
  readonly takes?: readonly string[];
  /** Its own words that are no options: the time in `timeout 5h train`. */
  readonly operands?: number;
}

const wrappers: Readonly<Record<string, Wrapper>> = {
  env: { takes: ['-u', '--unset', '-C', '--chdir'] },
  nice: { takes: ['-n', '--adjustment'] },
  ionice: { takes: ['-c', '-n', '--class', '--classdata'] },
  nohup: {},
  setsid: {},
  time: { takes: ['-f', '-o', '--format', '--output'] },
  timeout: { takes: ['-k', '-s', '--kill-after', '--signal'], operands: 1 },
  stdbuf: { takes: ['-i', '-o', '-e'] },
  taskset: { takes: [], operands: 1 },
  numactl: { takes: ['-N', '-m', '-C', '-i'] },
  sudo: { takes: ['-u', '-g', '--user', '--group'] },
  conda: { subcommand: 'run', takes: ['-n', '--name', '-p', '--prefix', '--cwd'] },
  mamba: { subcommand: 'run', takes: ['-n', '--name', '-p', '--prefix', '--cwd'] },
  micromamba: { subcommand: 'run', takes: ['-n', '--name', '-p', '--prefix', '--cwd'] },
  uv: {
    subcommand: 'run',
    takes: ['--with', '--extra', '--group', '--python', '-p', '--env-file', '--project'],
  },
  poetry: { subcommand: 'run' },
  pipenv: { subcommand: 'run' },
  pixi: { subcommand: 'run', takes: ['-e', '--environment'] },
  hatch: { subcommand: 'run' },
  rye: { subcommand: 'run' },
  pdm: { subcommand: 'run' },
};

const interpreter =
  /^(python[\d.]*|pypy[\d.]*|ipython[\d.]*|bash|sh|dash|zsh|ksh|fish|node|julia|Rscript|ruby|perl|deno|bun)$/;
const shell = /^(bash|sh|dash|zsh|ksh|fish)$/;
const launcher =
  /^(torchrun|torch_run|accelerate|deepspeed|horovodrun|mpirun|mpiexec|srun|lightning|fabric|composer|colossalai|ray|jsrun|coverage|viztracer|nsys|ncu)$/;
/** Modules that launch another script: `python -m torch.distributed.run train.py`. */
const launcherModule =
  /^(torch\.distributed\.(run|launch)|accelerate\.commands\.(launch|accelerate_cli)|deepspeed(\.launcher\.\w+)?|cProfile|pdb|debugpy|coverage|ipdb|trace|memory_profiler|kernprof|scalene)$/;
const scriptFile = /\.(py|pyc|ipynb|sh|bash|zsh|R|jl|js|mjs|cjs|ts|mts|rb|pl|lua)$/;
/** Interpreter options that take the next word. */
const interpreterTakes = new Set(['-W', '-X', '-r', '--require', '--import']);
const shellTakes = new Set(['-o', '-O', '--rcfile', '--init-file']);

/** The stem of what a command trains with: its script, its module, or failing these the command itself. */
export function scriptOf(argv: readonly string[]): string {
  const inner = unwrap(argv);
  const command = stem(inner[0] ?? '');
  if (interpreter.test(command)) return ofInterpreter(command, inner.slice(1));
  if (launcher.test(command)) return ofLauncher(inner.slice(1)) ?? command;
  return command;
}

/** Takes wrappers off the front, as long as something is left. */
function unwrap(argv: readonly string[]): readonly string[] {
  const wrapper = wrappers[stem(argv[0] ?? '')];
  if (!wrapper) return argv;
  let at = 1;
  if (wrapper.subcommand !== undefined) {
    if (argv[at] !== wrapper.subcommand) return argv;
    at++;
  }
  let operands = wrapper.operands ?? 0;
  for (; at < argv.length; at++) {
    const word = argv[at] ?? '';
    if (word.startsWith('-')) {
      if (wrapper.takes?.includes(word)) at++;
    } else if (!/^\w+=/.test(word) && operands-- <= 0) break;
  }
  return at < argv.length ? unwrap(argv.slice(at)) : argv;
}

function ofInterpreter(command: string, args: readonly string[]): string {
  const isShell = shell.test(command);
  for (let at = 0; at < args.length; at++) {
    const word = args[at] ?? '';
    const next = args[at + 1] ?? '';
    if (word === '-m' && next !== '') {
      return launcherModule.test(next)
        ? (ofLauncher(args.slice(at + 2)) ?? moduleStem(next))
        : moduleStem(next);
    }
    // `bash -lc "python train.py"`: the text is a command of its own; Python's -c has no name
    if (isShell ? /^-[a-z]*c$/.test(word) : word === '-c') return isShell ? ofText(next) : command;
    if (!word.startsWith('-')) return stem(word);
    if (interpreterTakes.has(word) || (isShell && shellTakes.has(word))) at++;
  }
  return command;
}

function ofText(text: string): string {
  const words = text.split(/[\s;&|'"]+/).filter((word) => word !== '');
  return ofLauncher(words) ?? (words.length === 0 ? 'sh' : scriptOf(words));
}

/** Launchers take many options with values, so their script is known by its ending, or by `-m`. */
function ofLauncher(args: readonly string[]): string | undefined {
  const script = args.find((word) => scriptFile.test(word));
  return script === undefined ? moduleIn(args) : stem(script);
}

function moduleIn(words: readonly string[]): string | undefined {
  const flag = words.findIndex((word) => word === '-m' || word === '--module');
  const name = flag < 0 ? undefined : words[flag + 1];
  return name === undefined ? undefined : moduleStem(name);
}

/** `pkg.mod` → `mod`, `pkg.__main__` → `pkg`. */
const moduleStem = (name: string): string =>
  name
    .split('.')
    .filter((part) => part !== '' && part !== '__main__')
    .at(-1) ?? name;

/** `/a/train.py` → `train`; `./llama3.1` keeps its dot, as it names no script. */
function stem(file: string): string {
  const base = file.split('/').filter(Boolean).at(-1) ?? '';
  return base.replace(scriptFile, '');
}
