import path from 'node:path';
import { parseDuration } from '../util/duration.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { longestMs } from './defaults.js';

/** Flags of `run`, read. Times in ms, paths absolute. What was not given is not there. */
export interface RunFlags {
  readonly name?: string;
  readonly stateDir?: string;
  readonly checkpointDirs?: readonly string[];
  readonly layout?: string;
  readonly vault?: string;
  readonly resumeArgs?: readonly string[];
  readonly maxRetries?: number;
  readonly backoffInitialMs?: number;
  readonly backoffMaxMs?: number;
  readonly heartbeatTimeoutMs?: number | 'auto';
  readonly startupTimeoutMs?: number | 'auto';
  readonly stopGraceMs?: number;
  readonly rollback?: boolean;
  readonly allowScratch?: boolean;
  readonly stdin?: boolean;
  readonly engine?: 'local' | 'slurm' | 'ray';
}

/** Options as the command-line parser leaves them: by camel-case name, as text, texts or booleans. */
export type RawOptions = Readonly<Record<string, unknown>>;

interface Reader {
  readonly from: string;
  readonly to: keyof RunFlags;
  readonly read: (value: unknown, cwd: string) => unknown;
  readonly wants?: string;
}

const time = "a time such as '500ms', '30s', '5m' or '2h', or a number of seconds, up to 24 days";
const asText = (value: unknown): unknown => (typeof value === 'string' && value !== '' ? value : undefined);
const asFlag = (value: unknown): unknown => (typeof value === 'boolean' ? value : undefined);
const asPath = (value: unknown, cwd: string): unknown =>
  typeof value === 'string' && value !== '' ? resolvePath(value, cwd) : undefined;
const duration = (value: unknown, leastMs = 0): number | undefined => {
  const ms = typeof value === 'string' ? parseDuration(value) : undefined;
  return ms !== undefined && ms >= leastMs && ms <= longestMs ? ms : undefined;
};
const timeout = (value: unknown): unknown => (value === 'auto' ? value : duration(value, 1));

const readers: readonly Reader[] = [
  { from: 'name', to: 'name', read: asText, wants: 'a name' },
  { from: 'stateDir', to: 'stateDir', read: asPath, wants: 'a folder' },
  { from: 'checkpointDir', to: 'checkpointDirs', read: readDirs, wants: 'a folder' },
  { from: 'layout', to: 'layout', read: asText, wants: 'the name of a layout' },
  { from: 'vault', to: 'vault', read: asPath, wants: 'a folder' },
  {
    from: 'resumeArgs',
    to: 'resumeArgs',
    read: (value) => (typeof value === 'string' ? splitArgs(value) : undefined),
  },
  { from: 'maxRetries', to: 'maxRetries', read: readCount, wants: 'a whole number from 0 to 1000000' },
  { from: 'backoffInitial', to: 'backoffInitialMs', read: (value) => duration(value), wants: time },
  { from: 'backoffMax', to: 'backoffMaxMs', read: (value) => duration(value), wants: time },
  {
    from: 'heartbeatTimeout',
    to: 'heartbeatTimeoutMs',
    read: timeout,
    wants: `"auto", or ${time}, longer than nothing`,
  },
  {
    from: 'startupTimeout',
    to: 'startupTimeoutMs',
    read: timeout,
    wants: `"auto", or ${time}, longer than nothing`,
  },
  { from: 'stopGrace', to: 'stopGraceMs', read: (value) => duration(value), wants: time },
  { from: 'rollback', to: 'rollback', read: asFlag },
  { from: 'allowScratch', to: 'allowScratch', read: asFlag },
  { from: 'stdin', to: 'stdin', read: asFlag },
  { from: 'engine', to: 'engine', read: readEngine, wants: '"local", "slurm" or "ray"' },
];

/** Reads the flags of `run`; the first bad one is a problem with exit status 64. Others than run's are passed over. */
export function readFlags(options: RawOptions, cwd: string): Result<RunFlags> {
  const flags: Partial<Record<keyof RunFlags, unknown>> = {};
  for (const { from, to, read, wants = 'another value' } of readers) {
    const raw = options[from];
    if (raw === undefined) continue;
    const value = read(raw, cwd);
    if (value === undefined) {
      const name = from.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      return fail(`--${name} must be ${wants}, not ${JSON.stringify(raw)}.`, exitStatus.usage);
    }
    flags[to] = value;
  }
  return ok(flags as RunFlags);
}

/** Splits `--resume_from_checkpoint "{path}"` into arguments: at white space, quotes keep things together. */
export function splitArgs(text: string): string[] {
  const args: string[] = [];
  for (const match of text.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"']|["'])+/g)) {
    args.push(
      match[0].replace(
        /"([^"]*)"|'([^']*)'/g,
        (_all, double?: string, single?: string) => double ?? single ?? '',
      ),
    );
  }
  return args;
}

const resolvePath = (value: string, cwd: string): string =>
  /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : path.resolve(cwd, value);

function readDirs(value: unknown, cwd: string): unknown {
  const dirs = [value].flat();
  if (!dirs.every((dir) => typeof dir === 'string' && dir !== '')) return undefined;
  return (dirs as string[]).map((dir) => resolvePath(dir, cwd));
}

function readCount(value: unknown): unknown {
  if (typeof value !== 'string' || !/^\d{1,7}$/.test(value)) return undefined;
  const count = Number(value);
  return count <= 1_000_000 ? count : undefined;
}

const readEngine = (value: unknown): unknown =>
  value === 'local' || value === 'slurm' || value === 'ray' ? value : undefined;
