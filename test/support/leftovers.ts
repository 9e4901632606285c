import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { eventually } from './eventually.js';
import { processAlive, readStat } from './process-alive.js';

/**
 * Kills every process that carries `marker` (`NAME=value`) in its environment or works in `dir` or below it, and all
 * their descendants; waits until they are gone. Where there is no /proc it does nothing.
 */
export async function killLeftovers(marker: string, dir?: string): Promise<void> {
  await eventually(
    () => {
      const left = findLeftovers(marker, dir);
      for (const pid of left) kill(pid);
      return left.length === 0;
    },
    `the end of every process marked ${marker} or working in ${dir ?? 'its folder'}`,
    30_000,
  );
}

/** Their pids, without our own. */
export function findLeftovers(marker: string, dir?: string): readonly number[] {
  const alive = pids().filter((pid) => pid !== process.pid && processAlive(pid));
  const found = new Set(
    alive.filter((pid) => hasMarker(pid, marker) || (dir !== undefined && worksIn(pid, dir))),
  );
  // children of what was found, until there are no more
  for (let before = -1; before !== found.size;) {
    before = found.size;
    for (const pid of alive) if (found.has(readStat(pid)?.ppid ?? -1)) found.add(pid);
  }
  return [...found];
}

function pids(): readonly number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    // no /proc here (macOS)
    return [];
  }
}

function hasMarker(pid: number, marker: string): boolean {
  return (
    ask(() => readFileSync(`/proc/${pid}/environ`, 'utf8'))
      ?.split('\0')
      .includes(marker) ?? false
  );
}

function worksIn(pid: number, dir: string): boolean {
  const cwd = ask(() => readlinkSync(`/proc/${pid}/cwd`));
  return cwd !== undefined && (cwd === dir || cwd.startsWith(`${dir}/`));
}

function ask(fn: () => string): string | undefined {
  try {
    return fn();
  } catch {
    // it is gone, or another user's
    return undefined;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
