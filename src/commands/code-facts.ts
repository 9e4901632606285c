import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { resolveCommand } from '../engines/local/resolve-command.js';
import type { CodeFacts } from '../failure/types.js';
import { BlockDigest } from '../util/os/digest.js';
import { errorCode } from '../util/os/durable.js';

export interface CodeQuestion {
  readonly cwd: string;
  /** The training's command. */
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** What git and an interpreter get to answer, ms, and what a difference may have before it is too much to digest, bytes. */
const patienceMs = 2000;
const mostBytes = 16 * 1024 * 1024;
/** How long the end of what got SIGKILL is waited for, ms: on a mount that is dead it never comes. */
const leaveMs = 500;

/** Looks that have not come to an end. Each holds threads of the pool by which the journal is written, too. */
let stuck = 0;

/**
 * What an attempt that starts now is run from. Changes nothing and never rejects.
 * undefined: not known, as where git or the disk took too long; half of the truth would look like an edit.
 * @param limitMs what it takes at most
 */
export async function codeFacts(question: CodeQuestion, limitMs = 4000): Promise<CodeFacts | undefined> {
  if (stuck > 0) return undefined;
  const looking = look(question);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => (timer = setTimeout(resolve, limitMs, 'late')));
  const found = await Promise.race([looking, late]).finally(() => clearTimeout(timer));
  if (found !== 'late') return found;
  stuck++;
  const freed = (): void => {
    stuck--;
  };
  looking.then(freed, freed);
  return undefined;
}

async function look(question: CodeQuestion): Promise<CodeFacts | undefined> {
  const script = await scriptOf(question);
  const [source, interpreter] = await Promise.all([sourceOf(question, script), interpreterOf(question)]);
  return source && { ...source, ...(interpreter !== undefined && { interpreter }) };
}

/** The first file among a command's words that looks like a script; `-m package.train` is one too. */
async function scriptOf({ argv, cwd }: CodeQuestion): Promise<string | undefined> {
  const files = argv
    .map((word, i) => (argv[i - 1] === '-m' ? `${word.replaceAll('.', '/')}.py` : word))
    .filter((word) => /\.(?:py|sh)$/.test(word))
    .map((word) => path.resolve(cwd, word));
  for (const file of files) if ((await orNothing(fs.stat(file)))?.isFile()) return file;
  return undefined;
}

/**
 * The commit, and a digest of what differs from it. A script that git does not know is part of that; outside of git it
 * is all there is.
 */
async function sourceOf(
  { cwd, env }: CodeQuestion,
  script: string | undefined,
): Promise<Pick<CodeFacts, 'head' | 'diff'> | undefined> {
  const file = script === undefined ? undefined : await orNothing(fs.realpath(script));
  const git = (...args: string[]): Promise<Answer> =>
    ask('git', ['-C', file === undefined ? cwd : path.dirname(file), ...unconfigured, ...args], {
      ...{ cwd, env: gitEnv(env) },
    });
  const [commit, changes, known] = await Promise.all([
    git('rev-parse', '--verify', 'HEAD'),
    git(
      'diff',
      'HEAD',
      '--no-ext-diff',
      '--no-textconv',
      '--no-color',
      '--full-index',
      '--ignore-submodules=all',
      '--',
      ...codeNames.map((name) => `:(top)*.${name}`),
    ),
    file === undefined ? undefined : git('ls-files', '--error-unmatch', '--', file),
  ]);
  if ([commit, changes, known].some((answer) => answer?.type === 'none')) return undefined;
  const head = commit.type === 'said' ? /^[0-9a-f]{40,64}$/m.exec(commit.text.toString())?.[0] : undefined;
  const inGit = head !== undefined && changes.type === 'said';
  const parts = [
    inGit ? changes.text : undefined,
    file === undefined || (inGit && known?.type === 'said') ? undefined : await contentOf(file),
  ].filter((part) => part !== undefined && part.length > 0);
  return { ...(inGit && { head }), ...(parts.length > 0 && { diff: digestOf(parts) }) };
}

/** What counts as code: a metrics file that git knows is written by the training itself. */
const codeNames = [
  ...['py', 'pyx', 'pyi', 'sh', 'c', 'cc', 'cpp', 'cu', 'cuh', 'h', 'hpp', 'rs', 'jl', 'lua', 'js', 'ts'],
  ...['toml', 'yaml', 'yml', 'cfg', 'ini', 'gin', 'jsonnet'],
];

/** A repository may name a program that watches its files; it is not needed for one look. */
const unconfigured = ['-c', 'core.fsmonitor=false'];

/** Without locks git leaves the index as it is; a hook's variables would name another repository. */
const gitEnv = (env: CodeQuestion['env']): CodeQuestion['env'] => ({
  ...Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^GIT_(?:DIR|WORK_TREE|INDEX_FILE)$/.test(name)),
  ),
  GIT_OPTIONAL_LOCKS: '0',
});

function digestOf(parts: readonly (Buffer | undefined)[]): string {
  const digest = new BlockDigest();
  for (const part of parts) if (part) digest.add(part);
  return digest.finish();
}

async function contentOf(file: string): Promise<Buffer | undefined> {
  const found = await orNothing(fs.stat(file));
  return found && found.size <= mostBytes ? orNothing(fs.readFile(file)) : undefined;
}

/** `/usr/bin/python3.11 (Python 3.11.2)`: the command's program, and if it is Python what version it says it is. */
async function interpreterOf({ argv, cwd, env }: CodeQuestion): Promise<string | undefined> {
  const found = resolveCommand(argv[0], env, cwd);
  if (!found.ok) return undefined;
  const program = found.value;
  if (!/^(?:python|pypy)[\d.]*$/.test(path.basename(program))) return program;
  const file = await orNothing(fs.stat(program));
  if (!file?.isFile()) return program;
  const version = await versionOf(program, file.mtimeMs, { cwd, env });
  return version === undefined ? undefined : `${program} (${version})`;
}

/** What programs said of themselves, by path and time of change: a shim may take a second to say it. */
const versions = new Map<string, string>();

async function versionOf(
  program: string,
  mtimeMs: number,
  { cwd, env }: Pick<CodeQuestion, 'cwd' | 'env'>,
): Promise<string | undefined> {
  const key = `${program}\n${cwd}\n${mtimeMs}`;
  const known = versions.get(key);
  if (known !== undefined) return known;
  const answer = await ask(program, ['--version'], { cwd, env });
  const version = answer.type === 'said' ? answer.text.toString('utf8', 0, 200).trim() : '';
  if (version !== '') versions.set(key, version);
  return version === '' ? undefined : version;
}

/** What a program printed; `failed`: it ended with an error, or is not there; `none`: it did not come to an end. */
type Answer = { readonly type: 'said'; readonly text: Buffer } | { readonly type: 'failed' | 'none' };

function ask(
  program: string,
  args: readonly string[],
  { cwd, env }: Pick<CodeQuestion, 'cwd' | 'env'>,
): Promise<Answer> {
  const bounds = { timeout: patienceMs, killSignal: 'SIGKILL', maxBuffer: mostBytes } as const;
  return new Promise((resolve) => {
    const child = execFile(program, args, { ...bounds, cwd, env, encoding: 'buffer' }, (error, text) => {
      clearTimeout(timer);
      if (!error) resolve({ type: 'said', text });
      else resolve({ type: typeof error.code === 'number' || error.code === 'ENOENT' ? 'failed' : 'none' });
    });
    const timer = setTimeout(() => {
      for (const stream of child.stdio) stream?.destroy();
      child.unref();
      resolve({ type: 'none' });
    }, patienceMs + leaveMs);
    child.stdin?.end();
  });
}

/** undefined: not there, removed meanwhile, or not for us to read. */
async function orNothing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined;
  }
}
