import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

/** Whether a process runs. A zombie does not: it only waits to be reaped. */
export function processAlive(pid: number): boolean {
  const state = processState(pid);
  return state !== undefined && state !== 'Z' && state !== 'X';
}

/** The letter of its state (`R`, `S`, `T`, `Z`…), or undefined where there is no such process. */
export function processState(pid: number): string | undefined {
  return readStat(pid)?.state;
}

/** Fields of /proc/PID/stat, or of `ps` where there is no /proc. `session` is unknown to `ps`. */
export interface Stat {
  readonly state: string;
  readonly ppid: number;
  readonly session: number | undefined;
}

export function readStat(pid: number): Stat | undefined {
  if (!existsSync('/proc/self/stat')) return askPs(pid);
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    // ENOENT or ESRCH: it is gone
    return undefined;
  }
  // the name in parentheses may hold anything, also `)`
  const [state, ppid, , session] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  if (state === undefined) return undefined;
  return { state, ppid: Number(ppid), session: Number(session) };
}

function askPs(pid: number): Stat | undefined {
  const { stdout } = spawnSync('ps', ['-o', 'stat=,ppid=', '-p', String(pid)], { encoding: 'utf8' });
  const [state, ppid] = stdout.trim().split(/\s+/);
  if (state === undefined || state === '' || ppid === undefined) return undefined;
  return { state: state.slice(0, 1), ppid: Number(ppid), session: undefined };
}
