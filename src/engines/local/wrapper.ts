import { listProcesses, readLiving, type ProcId, type ProcInfo } from '../../util/os/proc.js';
import { sendSignal } from '../../util/os/signals.js';

/**
 * When a stop signal is passed on past a shell that has not ended of it, ms after it was sent. A shell that waits for
 * a command handles SIGINT, or a signal it has a trap for, only once the command has ended, so a training under
 * `bash train.sh` would never hear of it and be killed in the midst of its save. A terminal gives SIGINT to all at
 * once, so that comes soon; another signal the script may yet pass on itself.
 */
export const passOnAfterMs = (signal: string, graceMs: number): number =>
  signal === 'SIGINT' ? Math.min(1000, graceMs / 4) : graceMs / 2;

/** Sends a signal to what the shells from this process down have started. Does nothing if it is no shell. */
export function passOnPastShells(main: ProcId, signal: string): void {
  const info = readLiving(main);
  if (!info || !isShell(info)) return;
  const all = listProcesses();
  const pass = (shell: ProcInfo, depth: number): void => {
    for (const child of all) {
      if (child.ppid !== shell.pid) continue;
      sendSignal(child, signal);
      if (isShell(child) && depth < 16) pass(child, depth + 1);
    }
  };
  pass(info, 0);
}

const isShell = ({ comm }: ProcInfo): boolean =>
  /^-?(sh|ash|bash|dash|fish|ksh|ksh93|mksh|zsh|busybox)$/.test(comm);
