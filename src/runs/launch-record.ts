import { readFileSync } from 'node:fs';
import { openFilesBefore } from '../util/os/open-files.js';
import type { Result } from '../util/result.js';
import { readVersioned, writeVersioned } from './versioned-file.js';

/** A limit as /proc/self/limits names it: `Max open files`; `unlimited` or a number, as text. */
export interface ResourceLimit {
  readonly name: string;
  readonly soft: string;
  readonly hard: string;
}

/** launch.json: what `attach` and `resume` relaunch from. The one file that holds the environment unmasked. */
export interface LaunchRecord {
  readonly argv: readonly string[];
  readonly cwd: string;
  /** Permission bits; undefined where there is no /proc. */
  readonly umask?: number;
  /** Empty where there is no /proc. */
  readonly limits: readonly ResourceLimit[];
  readonly env: Readonly<Record<string, string>>;
}

/** The circumstances of this process, for a run of this command. */
export function captureLaunch(argv: readonly string[]): LaunchRecord {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) env[name] = value;
  const umask = readUmask();
  return { argv, cwd: process.cwd(), ...(umask === undefined ? {} : { umask }), limits: readLimits(), env };
}

/** Writes launch.json, 0600. */
export const writeLaunch = (file: string, record: LaunchRecord): Promise<Result<void>> =>
  writeVersioned(file, record);

/** Reads launch.json; undefined: there is none. */
export const readLaunch = (file: string): Promise<Result<LaunchRecord | undefined>> =>
  readVersioned<LaunchRecord>(
    file,
    'start the run with its command ("trainguard run -- …") to write it anew',
  );

/** The limits of a process by the text of its /proc/PID/limits. */
export function parseLimits(text: string): ResourceLimit[] {
  return text.split('\n').flatMap((line) => {
    const match = /^(Max \S+(?: \S+)*) {2,}(\S+) +(\S+)/.exec(line);
    return match ? [{ name: match[1] ?? '', soft: match[2] ?? '', hard: match[3] ?? '' }] : [];
  });
}

/** Ours, but for the one that Node changed. */
function readLimits(): ResourceLimit[] {
  return parseLimits(readProc('/proc/self/limits') ?? '').map((limit) =>
    limit.name === 'Max open files' && openFilesBefore !== undefined
      ? { ...limit, soft: String(openFilesBefore) }
      : limit,
  );
}

/** Not by process.umask(), which sets it to 0 for an instant in which another thread may make a file. */
function readUmask(): number | undefined {
  const match = /^Umask:\s*([0-7]+)/m.exec(readProc('/proc/self/status') ?? '');
  return match ? parseInt(match[1] ?? '', 8) : undefined;
}

function readProc(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // no /proc here (macOS)
    return undefined;
  }
}
