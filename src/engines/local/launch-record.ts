import { readFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { bootId } from '../../util/os/boot.js';
import { errorCode } from '../../util/os/durable.js';
import { sharesPids } from '../../util/os/lock-owner.js';
import { parseStat, readLiving, readProcess, type ProcId } from '../../util/os/proc.js';
import { psStartTime } from '../../util/os/proc-ps.js';
import { attemptFiles } from './attempt-files.js';
import type { OomCount } from './host-facts.js';
import { createOurs, markerName } from './ours.js';

/** What an attempt's launch.json says. With `pid` it names the worker to whoever comes after this supervisor. */
export interface LaunchRecord {
  readonly schemaVersion: 1;
  readonly runId: string;
  readonly attempt: number;
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly stopSignal: string;
  readonly bootId: string;
  /** The pid in `pid` is one of this namespace; in another it may name a stranger. */
  readonly pidNamespace?: string;
  /** Milliseconds since 1970, and monotonic ones of that boot. */
  readonly startedAt: number;
  readonly startedMono: number;
  /** The memory killer's count before it: who takes the attempt over sees by it what happened while nobody watched. */
  readonly oomCount?: OomCount | undefined;
}

/** The main process as the shim wrote it down, and its session, which is the shim's pid. */
export interface MainRecord extends ProcId {
  readonly session: number;
}

/** Names no process and no session. */
export const nobody: MainRecord = { pid: 0, startTime: 0, session: -1 };

/** Reads `pid`: undefined while it is blank. */
export function readMain(attemptDir: string): MainRecord | undefined {
  const line = writtenLine(attemptFiles(attemptDir).pid);
  if (line === undefined) return undefined;
  const byPs = /^(\d+) ps (.+)$/.exec(line); // no /proc here: the session is our spawned shim's, asked for by ps
  if (!byPs) return parseStat(line);
  const pid = Number(byPs[1]);
  return { pid, startTime: psStartTime(byPs[2] ?? ''), session: readProcess(pid)?.session ?? pid };
}

/** Reads `exit`: the main process's status as a shell gives it; undefined while it is blank. */
export function readStatus(attemptDir: string): number | undefined {
  const line = writtenLine(attemptFiles(attemptDir).exit);
  return line === undefined ? undefined : Number(line);
}

/** Reads launch.json; undefined if there is none, or none that can be read. */
export async function readLaunchRecord(attemptDir: string): Promise<LaunchRecord | undefined> {
  try {
    const record: unknown = JSON.parse(await fs.readFile(attemptFiles(attemptDir).launch, 'utf8'));
    return isRecord(record) ? record : undefined;
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined;
    if (error instanceof SyntaxError) return undefined; // cut by a power loss, which no worker survived either
    throw error;
  }
}

/**
 * What still lives of a run: of the newest attempt's main process or else anything that is left of it. For a `run`
 * that finds a state but no supervisor.
 */
export async function findLivingWorker(
  runDir: string,
): Promise<{ readonly pid: number; readonly attemptDir: string } | undefined> {
  const attemptDir = (await attemptDirs(runDir)).at(-1);
  if (attemptDir === undefined) return undefined;
  const record = await readLaunchRecord(attemptDir);
  if (record?.bootId !== bootId()) return undefined; // another boot's pids name nothing here
  const main = readMain(attemptDir);
  if (!main) return undefined;
  const known = sharesPids(record);
  if (known && readLiving(main)) return { pid: main.pid, attemptDir };
  const ours = createOurs({
    marker: markerName(record.runId),
    attemptDir,
    main: known ? main : nobody,
    since: main.startTime,
  }).scan();
  // the oldest lasts; a child of it may be gone by the time it is named, and pids may have begun again from below
  const [left] = [...ours].sort((a, b) => a.startTime - b.startTime || a.pid - b.pid);
  return left && { pid: left.pid, attemptDir };
}

/**
 * Gives a launch up that nobody may know to have happened (its supervisor died around the spawn).
 * @returns true: it will never start now; false: it has started, or had been given up already
 */
export async function giveUpLaunch(attemptDir: string): Promise<boolean> {
  try {
    await fs.rmdir(attemptFiles(attemptDir).go);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** The attempts of a run, oldest first. */
export async function attemptDirs(runDir: string): Promise<readonly string[]> {
  const dir = path.join(runDir, 'attempts');
  try {
    const names = (await fs.readdir(dir)).filter((name) => /^\d+$/.test(name));
    return names.sort((a, b) => Number(a) - Number(b)).map((name) => path.join(dir, name));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** What was written over the blanks; undefined until the whole line is there. */
function writtenLine(file: string): string | undefined {
  try {
    return /^(.*\S)\n/.exec(readFileSync(file, 'utf8'))?.[1]?.trim();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

const isRecord = (value: unknown): value is LaunchRecord =>
  typeof value === 'object' &&
  value !== null &&
  'runId' in value &&
  typeof value.runId === 'string' &&
  'bootId' in value &&
  typeof value.bootId === 'string';
