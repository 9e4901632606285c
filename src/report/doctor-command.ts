import { type Check, fails, fine, warn } from './doctor-check.js';

/** What was found of the command. */
export interface CommandFacts {
  readonly argv: readonly string[];
  /** The file that would be started, or why there is none. */
  readonly program: { readonly file: string } | { readonly problem: string };
  /** `python3`, where the command says `python` and only that is there. */
  readonly instead?: string;
  /** The script that the command names, and whether it is there; undefined: it names none that is known as one. */
  readonly script?: { readonly file: string; readonly found: boolean; readonly certain: boolean };
  /** PYTHONUNBUFFERED of the environment; undefined: unset, so that trainguard sets it to 1. */
  readonly pythonUnbuffered?: string;
}

/** What becomes of the command, and of what it prints. Pure. */
export function judgeCommand(facts: CommandFacts): readonly Check[] {
  return [programOf(facts), ...scriptOf(facts), ...outputOf(facts), ...wrappersOf(facts)];
}

function programOf({ program, instead }: CommandFacts): Check {
  if ('file' in program) return fine('command', `${program.file} can be started`);
  return fails('command', program.problem, instead === undefined ? undefined : `${instead} is there: say ${instead}`); // prettier-ignore
}

function scriptOf({ script }: CommandFacts): readonly Check[] {
  if (!script) return [];
  const { file, found, certain } = script;
  if (found) return [fine('script', `${file} is there`)];
  const text = `there is no ${file} seen from the working directory`;
  return [(certain ? fails : warn)('script', text, 'check its name, or start from the folder it lies in')];
}

/** Programs that the configuration wants called beside the training. */
export interface HelperFacts {
  readonly count: number;
  readonly missing: readonly { readonly name: string; readonly problem: string }[];
}

/** Whether hooks, preflight and notifications could be called. Pure. */
export function judgeHelpers({ count, missing }: HelperFacts): readonly Check[] {
  if (missing.length > 0) return missing.map(({ name, problem }) => fails(name, problem));
  return count === 0 ? [] : [fine('hooks', 'every program of hooks, preflight and notify is there')];
}

/** What holds lines back, so that progress is seen late or never. */
function outputOf({ argv, pythonUnbuffered }: CommandFacts): readonly Check[] {
  const found: Check[] = [];
  const buffers = (text: string, way: string): void => void found.push(warn('output', text, way));
  const text = shellTextOf(argv);
  const words = wordsOf(argv);
  const at = (name: RegExp): number => words.findIndex((word) => name.test(baseOf(word)));
  const unbuffered = words.some((word) => /^-[A-Za-z]*u[A-Za-z]*$/.test(word)) && at(python) >= 0;

  const conda = at(/^conda$/);
  if (
    conda >= 0 &&
    words[conda + 1] === 'run' &&
    !words.some((word) => /^(?:--no-capture-output|--live-stream|-s)$/.test(word))
  )
    // prettier-ignore
    buffers(
      'conda run holds all output back until the training has ended',
      'conda run --no-capture-output …',
    );
  if (at(python) >= 0 && !unbuffered) {
    const alone = words.find((word, index) => index > 0 && python.test(baseOf(words[index - 1] ?? '')) && /^-[A-Za-z]*[EI]/.test(word)); // prettier-ignore
    if (pythonUnbuffered === '')
      buffers(
        'PYTHONUNBUFFERED is set to nothing, so Python prints in blocks of 8 KiB',
        'unset PYTHONUNBUFFERED',
      );
    else if (alone !== undefined)
      buffers(
        `python ${alone} passes over PYTHONUNBUFFERED, so it prints in blocks of 8 KiB`,
        `python -u ${alone} …`,
      );
    else if (clearsEnvironment(words))
      buffers(
        'the environment is cleared before Python starts, PYTHONUNBUFFERED and TRAINGUARD_* with it',
        'python -u …, and let TRAINGUARD_RESUME_FROM through',
      );
  }
  if (text !== undefined && /(?<!\|)\|(?!\|)/.test(text) && !/pipefail/.test(text))
    buffers(
      'the command is a pipe: its exit status is the last program’s, so a crash of the training looks like success',
      'leave "| tee" away, since the output is kept anyway; or begin with "set -o pipefail;" under bash',
    );
  if (text !== undefined && /&\s*$/.test(text.replace(/&&\s*$/, '')))
    buffers('the command sends the training into the background and ends at once', 'leave the & away');
  if (found.length > 0) return found;
  if (at(python) < 0) return [fine('output', 'kept in files; what the program itself holds back comes late')];
  return [fine('output', unbuffered || (pythonUnbuffered ?? '') !== '' ? 'unbuffered' : 'unbuffered: PYTHONUNBUFFERED=1 is set for it')]; // prettier-ignore
}

/** Programs between us and the training that a signal or the environment does not get past. */
function wrappersOf({ argv }: CommandFacts): readonly Check[] {
  const words = wordsOf(argv);
  const first = baseOf(words[0] ?? '');
  if (/^(?:docker|podman|nerdctl)$/.test(first) && (words.includes('run') || words.includes('exec')))
    return [
      warn(
        'wrapper',
        `${first} starts the training outside of what trainguard sees: its environment, its processes and its memory kills`,
        `put trainguard into the container, or pass the variables on: ${first} run --init -e PYTHONUNBUFFERED=1 -e TRAINGUARD_RESUME_FROM -e TRAINGUARD_ATTEMPT …`,
      ),
    ];
  if (first === 'ssh' || first === 'pdsh')
    return [
      warn(
        'wrapper',
        `${first} ends here while the training goes on over there`,
        'start trainguard on that machine',
      ),
    ];
  if (first === 'sudo' && !words.some((word) => /^(?:-E|--preserve-env)/.test(word)))
    return [
      warn(
        'wrapper',
        'sudo clears the environment, so the training learns nothing of where to resume',
        'sudo -E, or start trainguard itself with sudo',
      ),
    ];
  if (first === 'nohup' || first === 'setsid')
    return [fine('wrapper', `${first} is not needed: the training survives the terminal anyway`)];
  return [];
}

const python = /^(?:python|pypy)[\d.]*$/;
const baseOf = (word: string): string => word.slice(word.lastIndexOf('/') + 1);

/** The text of `bash -lc 'text'`. */
function shellTextOf(argv: readonly string[]): string | undefined {
  const shell = argv.findIndex((word) => /^(?:ba|da|z|k|fi)?sh$/.test(baseOf(word)));
  const flag = argv.findIndex((word, index) => shell >= 0 && index > shell && /^-[a-z]*c$/.test(word));
  return flag < 0 ? undefined : argv[flag + 1];
}

/** The words of the command, those of a shell's text among them; quotes are not looked at. */
const wordsOf = (argv: readonly string[]): readonly string[] => {
  const text = shellTextOf(argv);
  return text === undefined ? argv : [...argv.slice(0, argv.indexOf(text)), ...text.split(/[\s;&|()'"]+/)];
};

const clearsEnvironment = (words: readonly string[]): boolean => {
  const env = words.findIndex((word) => baseOf(word) === 'env');
  const options = env < 0 ? [] : words.slice(env + 1, env + 4);
  return options.some((word) => word === '-i' || word === '-' || word === '--ignore-environment');
};
