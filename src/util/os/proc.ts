import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { errorCode } from './durable.js';
import { listByPs } from './proc-ps.js';

/** A process that stays the same one even if its pid is used again. */
export interface ProcId {
  readonly pid: number;
  /** When it started, in the system's own unit (Linux: clock ticks since boot); only compared. */
  readonly startTime: number;
}

/** One process as the system lists it. */
export interface ProcInfo extends ProcId {
  readonly comm: string;
  /** One letter: R, S, D, T, t, Z… */
  readonly state: string;
  readonly ppid: number;
  readonly pgrp: number;
  readonly session: number;
  readonly threads: number;
}

/** Every process that can be seen, dead ones included; on systems without /proc as `ps` tells it. */
export function listProcesses(): readonly ProcInfo[] {
  const pids = procPids();
  if (!pids) return listByPs();
  return pids.flatMap((pid) => readProcess(pid) ?? []);
}

/** One process, or undefined if there is none of that pid. */
export function readProcess(pid: number): ProcInfo | undefined {
  if (!hasProc()) return listByPs(pid)[0];
  const text = readProcText(`/proc/${pid}/stat`);
  return text === undefined ? undefined : parseStat(text);
}

/**
 * Reads a line of /proc/PID/stat. The command's name stands in brackets and may itself hold blanks and brackets, so
 * the fields are counted from the last `)`.
 */
export function parseStat(text: string): ProcInfo | undefined {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  if (open < 1 || close < open) return undefined;
  const fields = text.slice(close + 2).split(' ');
  const field = (n: number): number => Number(fields[n - 3]); // proc(5) counts from 1; the 3rd is the first here
  const startTime = field(22);
  if (!Number.isFinite(startTime)) return undefined;
  return {
    pid: Number(text.slice(0, open)),
    comm: text.slice(open + 1, close),
    state: fields[0] ?? '?',
    ppid: field(4),
    pgrp: field(5),
    session: field(6),
    threads: field(20),
    startTime,
  };
}

/**
 * A zombie is dead: it only waits for its parent to look. But a process whose first thread has ended while others go
 * on shows the same letter, and lives.
 */
export const isDead = (info: ProcInfo): boolean =>
  info.state === 'X' || (info.state === 'Z' && !(info.threads > 1));

/** The process itself if it still lives (`kill(pid, 0)` would answer for a zombie, or for another with its pid). */
export function readLiving(id: ProcId): ProcInfo | undefined {
  const info = readProcess(id.pid);
  return info?.startTime === id.startTime && !isDead(info) ? info : undefined;
}

/** A file of /proc as text; undefined where it is gone, forbidden or was never there. */
export const readProcText = (file: string): string | undefined => readProcBytes(file)?.toString('utf8');

/** The same as bytes: a view that holds until the next call. At most 4 MiB are read. */
export function readProcBytes(file: string): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    ignoreGone(error);
    return undefined;
  }
  try {
    let length = 0;
    for (;;) {
      const read = readSync(fd, scratch, length, scratch.length - length, null);
      length += read;
      if (read === 0) return scratch.subarray(0, length);
      if (length < scratch.length) continue;
      if (length >= maxProcBytes) return scratch.subarray(0, length);
      scratch = Buffer.concat([scratch], scratch.length * 2);
    }
  } catch (error) {
    ignoreGone(error);
    return undefined;
  } finally {
    closeSync(fd);
  }
}

/** The names in a folder of /proc; none where it is gone or forbidden. */
export function readProcDir(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    ignoreGone(error);
    return [];
  }
}

/** Whether this system has a /proc that names processes. */
export const hasProc = (): boolean => (procSeen ??= readProcText('/proc/self/stat') !== undefined);

let procSeen: boolean | undefined;
const maxProcBytes = 4 * 1024 * 1024;
// /proc gives a file's content only while it is read, in no known size: one buffer serves all reads
let scratch = Buffer.allocUnsafe(64 * 1024);

function procPids(): readonly number[] | undefined {
  if (!hasProc()) return undefined;
  return readProcDir('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

/** What a process that ends while we look, or that belongs to somebody else, answers with. */
function ignoreGone(error: unknown): void {
  const code = errorCode(error);
  if (code === undefined || !['ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'ENOTDIR', 'EINVAL'].includes(code))
    throw error;
}
