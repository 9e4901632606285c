import fs from 'node:fs';
import path from 'node:path';
import { errorCode } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { damaged, refused } from './problems.js';
import { readVersioned } from './versioned-file.js';

/** What run.json says: which run this is, for ever. */
export interface RunIdentity {
  readonly name: string;
  /** Random, 16 hexadecimal digits: `TRAINGUARD_RUN_ID`, and part of the marker variable's name. */
  readonly id: string;
  /** ms since 1970. */
  readonly createdAt: number;
  readonly layoutVersion: number;
}

export interface Run extends RunIdentity {
  readonly dir: string;
  readonly paths: RunPaths;
}

/** Every file of a run (DESIGN section 8), by its path. */
export interface RunPaths {
  readonly identity: string;
  readonly launch: string;
  readonly journal: string;
  readonly state: string;
  readonly metrics: string;
  readonly log: string;
  readonly attempts: string;
  readonly incidents: string;
  readonly requests: string;
  /** What `acquireLock` keeps its folder in: the run's folder itself. */
  readonly lock: string;
}

/** `.trainguard` beside the config file that was found, else in the working directory. */
export const defaultStateDir = (cwd: string, configFile?: string): string =>
  path.join(configFile === undefined ? cwd : path.dirname(configFile), '.trainguard');

export const runDirOf = (stateDir: string, name: string): string => path.join(stateDir, 'runs', name);

/** Where checkpoint folders in use are listed: the `registry` of `acquireLock`. */
export const checkpointRegistryOf = (stateDir: string): string => path.join(stateDir, 'checkpoint-folders');

/** The folder of one attempt: `attempts/000`. */
export const attemptDirOf = (runDir: string, attempt: number): string =>
  path.join(runDir, 'attempts', String(attempt).padStart(3, '0'));

export const pathsOf = (dir: string): RunPaths => ({
  identity: path.join(dir, 'run.json'),
  launch: path.join(dir, 'launch.json'),
  journal: path.join(dir, 'journal.jsonl'),
  state: path.join(dir, 'state.json'),
  metrics: path.join(dir, 'metrics.jsonl'),
  log: path.join(dir, 'supervisor.log'),
  attempts: path.join(dir, 'attempts'),
  incidents: path.join(dir, 'incidents'),
  requests: path.join(dir, 'requests'),
  lock: dir,
});

/** Reads a run's identity; undefined: there is no run in this folder. */
export async function openRun(dir: string): Promise<Result<Run | undefined>> {
  const paths = pathsOf(dir);
  const wayOut = `move ${dir} away to start the run anew`;
  const read = await readVersioned<RunIdentity>(paths.identity, wayOut);
  if (!read.ok || !read.value) return read.ok ? ok(undefined) : read;
  const { id, createdAt } = read.value as Partial<Record<keyof RunIdentity, unknown>>;
  if (typeof id !== 'string' || !/^[0-9a-f]{8,64}$/.test(id) || typeof createdAt !== 'number') {
    return damaged(paths.identity, 'it names no run id', wayOut);
  }
  // the folder's name counts: a person may have renamed or copied it
  return ok({ ...read.value, name: path.basename(dir), dir, paths });
}

/** A run's folder that does not say which run it is. */
export const withoutIdentity = (dir: string): Result<never> =>
  fail(
    `${dir} is a run's folder without its run.json; nothing was changed, move it away to start the run anew ` +
      `(a training of it that still lives keeps the checkpoint folder until it is done)`,
    exitStatus.internal,
  );

/** Reads state.json; undefined: there is none. A damaged one can be made anew from the journal, says the Problem. */
export const readState = <T extends object>(file: string): Promise<Result<T | undefined>> =>
  readVersioned<T>(file, 'the next "trainguard run" makes it anew from the journal');

export interface ListedRun {
  readonly name: string;
  readonly dir: string;
  readonly run: Result<Run>;
}

/** Every run of a state folder, by name; no state folder: none. */
export async function listRuns(stateDir: string): Promise<Result<readonly ListedRun[]>> {
  const folder = path.join(stateDir, 'runs');
  try {
    const names = fs
      .readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'));
    const listed = await Promise.all(
      names.map(async ({ name }): Promise<ListedRun[]> => {
        const dir = path.join(folder, name);
        const run = await openRun(dir);
        if (!run.ok) return [{ name, dir, run }];
        if (run.value) return [{ name, dir, run: ok(run.value) }];
        return fs.existsSync(pathsOf(dir).attempts) ? [{ name, dir, run: withoutIdentity(dir) }] : [];
      }),
    );
    return ok(listed.flat().sort((a, b) => (a.name < b.name ? -1 : 1)));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return ok([]);
    return refused(`read ${folder}`, error);
  }
}
