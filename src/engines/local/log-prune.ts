import fs from 'node:fs/promises';
import path from 'node:path';
import { attemptFiles } from './attempt-files.js';
import { bytesOnDisk, freeBytes } from './disk.js';
import { attemptDirs } from './launch-record.js';

export interface LogsKeep {
  /** Bytes on disk that all attempts' logs of a run may take. */
  readonly runBytes: number;
  /** Attempts that are kept at all. */
  readonly attempts: number;
}

/**
 * Bounds a run's past: folders of attempts older than the newest `attempts` go, then the oldest logs, until what is
 * left fits. The newest attempt is never touched. Call it when no attempt is being launched.
 * @returns the attempts that lost something, by their number's name
 */
export async function pruneLogs(runDir: string, keep: LogsKeep): Promise<readonly string[]> {
  const dirs = await attemptDirs(runDir);
  const kept = Math.max(1, keep.attempts);
  const gone = dirs.slice(0, -kept);
  for (const dir of gone) await fs.rm(dir, { recursive: true, force: true });
  const left = dirs.slice(-kept);
  const sizes = await Promise.all(left.map(logBytes));
  let total = sizes.reduce((sum, size) => sum + size, 0);
  const emptied: string[] = [];
  for (const [index, dir] of left.slice(0, -1).entries()) {
    if (total <= keep.runBytes) break;
    total -= sizes[index] ?? 0;
    if (await removeLogs(dir)) emptied.push(dir);
  }
  return [...gone, ...emptied].map((dir) => path.basename(dir));
}

/** Removes logs of attempts before this one, oldest first, until there is enough free space. Answers whose went. */
export async function keepSpaceFree(attemptDir: string, minFreeBytes: number): Promise<readonly string[]> {
  const own = path.basename(attemptDir);
  const emptied: string[] = [];
  for (const dir of await attemptDirs(path.dirname(path.dirname(attemptDir)))) {
    if (Number(path.basename(dir)) >= Number(own) || !(await lacksSpace(attemptDir, minFreeBytes))) break;
    if (await removeLogs(dir)) emptied.push(`attempt ${Number(path.basename(dir))}`);
  }
  return emptied;
}

/** Whether a folder's file system has less than this free for us, in bytes. */
export const lacksSpace = async (dir: string, minFreeBytes: number): Promise<boolean> =>
  (await freeBytes(dir)) < minFreeBytes;

const logsOf = (dir: string): readonly string[] => {
  const { out, err, stacks } = attemptFiles(dir);
  return [out, err, stacks];
};

async function logBytes(dir: string): Promise<number> {
  const sizes = await Promise.all(logsOf(dir).map(bytesOnDisk));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function removeLogs(dir: string): Promise<boolean> {
  const had = (await logBytes(dir)) > 0;
  for (const file of logsOf(dir)) await fs.rm(file, { force: true });
  return had;
}
