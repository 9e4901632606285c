import { readFileSync } from 'node:fs';
import { readLimits, type ResourceLimit } from '../util/os/limits.js';
import { ok, type Result } from '../util/result.js';
import { damaged } from './problems.js';
import { readVersioned, writeVersioned } from './versioned-file.js';

export { parseLimits, type ResourceLimit } from '../util/os/limits.js';

/** Flags of `run` that say what the run is, as the command line's parser leaves them. */
export interface LaunchFlags {
  /** The configuration file that was found or named. */
  readonly config?: string;
  readonly checkpointDir?: readonly string[];
  readonly layout?: string;
  readonly resumeArgs?: string;
  readonly maxRetries?: number;
  readonly backoffInitial?: number;
  readonly backoffMax?: number;
  readonly heartbeatTimeout?: number;
  readonly startupTimeout?: number;
  readonly stopGrace?: number;
  /** Only false says something: it was switched off. */
  readonly rollback?: boolean;
  readonly vault?: string;
  /** URLs among them hold secrets; this file is 0600. */
  readonly notify?: readonly string[];
  /** A port, or one that is free. */
  readonly serve?: number | true;
  readonly stdin?: true;
  readonly allowScratch?: true;
}

/** launch.json: what `attach` and `resume` relaunch from. The one file that holds the environment unmasked. */
export interface LaunchRecord {
  readonly argv: readonly string[];
  readonly flags: LaunchFlags;
  readonly cwd: string;
  /** Permission bits; undefined where there is no /proc. */
  readonly umask?: number;
  /** Empty where there is no /proc. */
  readonly limits: readonly ResourceLimit[];
  readonly env: Readonly<Record<string, string>>;
}

/** The circumstances of this process, for a run of this command. */
export function captureLaunch(argv: readonly string[], flags: LaunchFlags = {}): LaunchRecord {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) env[name] = value;
  const umask = readUmask();
  return {
    argv,
    flags,
    cwd: process.cwd(),
    ...(umask === undefined ? {} : { umask }),
    limits: readLimits(),
    env,
  };
}

/** Writes launch.json, 0600. */
export const writeLaunch = (file: string, record: LaunchRecord): Promise<Result<void>> =>
  writeVersioned(file, record);

/** Reads launch.json; undefined: there is none. */
export async function readLaunch(file: string): Promise<Result<LaunchRecord | undefined>> {
  const wayOut = 'start the run with its command ("trainguard run -- …") to write it anew';
  const read = await readVersioned<Partial<LaunchRecord>>(file, wayOut);
  if (!read.ok || !read.value) return read.ok ? ok(undefined) : read;
  const { argv, flags = {}, cwd, umask, limits = [], env } = read.value;
  if (!Array.isArray(argv) || argv.length === 0) return damaged(file, 'it names no command', wayOut);
  if (typeof cwd !== 'string') return damaged(file, 'it names no working directory', wayOut);
  if (typeof env !== 'object') return damaged(file, 'it has no environment', wayOut);
  return ok({ argv, flags, cwd, limits, env, ...(umask !== undefined && { umask }) });
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
