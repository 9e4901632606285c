import { execFileSync } from 'node:child_process';
import type { ProcInfo } from './proc.js';

/**
 * Processes as `ps` tells them, for systems without /proc (macOS): no sessions there (the group is given in its
 * place, which setsid made equal), and start times in whole seconds.
 */
export function listByPs(pid?: number): readonly ProcInfo[] {
  const which = pid === undefined ? ['-A'] : ['-p', String(pid)];
  let text: string;
  try {
    text = execFileSync('ps', [...which, '-o', 'pid=,ppid=,pgid=,state=,lstart=,comm='], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 64 * 1024 * 1024,
      env: { ...process.env, LC_ALL: 'C' }, // lstart is a date in words
    });
  } catch {
    // ps ends with 1 when there is no such process
    return [];
  }
  return text.split('\n').flatMap((line) => parsePsLine(line) ?? []);
}

/** `  301     1   301 Ss   Mon Nov 10 09:00:00 2025     /sbin/launchd` */
export function parsePsLine(line: string): ProcInfo | undefined {
  const match = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S)\S*\s+(\S+\s+\S+\s+\d+\s+[\d:]+\s+\d+)\s+(.*)$/.exec(line);
  if (!match) return undefined;
  const [, pid, ppid, pgid, state, started, comm] = match;
  return {
    pid: Number(pid),
    ppid: Number(ppid),
    pgrp: Number(pgid),
    session: Number(pgid),
    state: state ?? '?',
    comm: comm?.trim() ?? '',
    threads: 1,
    startTime: psStartTime(started ?? ''),
  };
}

/** A start time as ps words it, in seconds since 1970. */
export const psStartTime = (lstart: string): number => Math.round(Date.parse(lstart) / 1000);
