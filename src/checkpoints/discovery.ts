import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from '../util/os/durable.js';
import { Scanner } from './scan.js';

export interface FoundDir {
  /** Absolute. */
  readonly dir: string;
  readonly from: 'flag' | 'name';
  /** How it was found, for the first line of a run. */
  readonly words: string;
}

/** Flags of training programs that name where checkpoints go, most particular first; `-` and `_` are the same. */
const flags = [
  'checkpoint_dir', 'checkpoints_dir', 'ckpt_dir', 'ckpts_dir', 'checkpoint_path', 'checkpoint_folder', 'save_dir',
  'save_path', 'save_folder', 'backup_dir', 'model_dir', 'output_dir', 'out_dir', 'outdir', 'work_dir', 'workdir',
  'default_root_dir', 'save', 'output',
]; // prettier-ignore

/** Where frameworks put them below the folder that they are given: accelerate, Ultralytics. */
const innerNames = ['checkpoints', 'weights'];

const usualNames = ['checkpoints', 'ckpts', 'ckpt', 'checkpoint', 'output', 'outputs'];

/**
 * Where the command seems to keep its checkpoints: a folder its own flags name (which it may yet have to make), else
 * a folder of a usual name that holds checkpoints. A guess in either case.
 */
export async function discoverCheckpointDir(
  argv: readonly string[],
  cwd: string,
): Promise<FoundDir | undefined> {
  const values = flagValues(argv.slice(programEnd(argv)));
  for (const flag of flags) {
    const given = values.get(flag);
    if (given === undefined) continue;
    const dir = path.resolve(cwd, given.value);
    if (await isFile(dir)) continue;
    const inner = await innerOf(dir);
    const words = `${given.flag} of the command`;
    return inner === undefined
      ? { dir, from: 'flag', words }
      : { dir: path.join(dir, inner), from: 'flag', words: `${inner}/ in ${words}` };
  }
  for (const name of usualNames) {
    const dir = path.join(cwd, name);
    if (await holdsCheckpoints(dir)) return { dir, from: 'name', words: `${name}/ holds checkpoints` };
  }
  return undefined;
}

/** Launchers (torchrun, accelerate, deepspeed) have folders of their own: what counts stands behind the script. */
function programEnd(argv: readonly string[]): number {
  for (const [index, word] of argv.entries()) {
    if (index > 0 && argv[index - 1] === '-m') return index + 1;
    if (/\.(?:py|sh|bash|jl|lua|[cm]?js|ts|r)$/i.test(word) && !word.startsWith('-')) return index + 1;
  }
  return 1;
}

/** By the flag's name with `_`; the last one given holds, as in argparse. */
function flagValues(words: readonly string[]): Map<string, { flag: string; value: string }> {
  const values = new Map<string, { flag: string; value: string }>();
  for (const [index, word] of words.entries()) {
    const match = /^(--?([a-z][\w.-]*))(?:=(.*))?$/is.exec(word);
    const [, flag, name, attached] = match ?? [];
    if (flag === undefined || name === undefined) continue;
    const value = attached ?? words[index + 1];
    // a URL, a flag or nothing: no folder that could be looked at
    if (value === undefined || value === '' || (attached === undefined && value.startsWith('-')) || /^[a-z][a-z0-9+.-]*:\/\//i.test(value)) continue; // prettier-ignore
    values.set(name.replace(/-/g, '_').toLowerCase(), { flag, value });
  }
  return values;
}

/** The one below it that holds the checkpoints, where it holds none itself. */
async function innerOf(dir: string): Promise<string | undefined> {
  if (await holdsCheckpoints(dir)) return undefined;
  for (const name of innerNames) if (await holdsCheckpoints(path.join(dir, name))) return name;
  return undefined;
}

async function isFile(file: string): Promise<boolean> {
  try {
    return !(await fs.stat(file)).isDirectory();
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return false;
  }
}

async function holdsCheckpoints(dir: string): Promise<boolean> {
  try {
    return (await new Scanner(dir, 'auto').scan(() => false)).units.length > 0;
  } catch (error) {
    // a folder that cannot be read is none we could use
    if (errorCode(error) === undefined) throw error;
    return false;
  }
}
