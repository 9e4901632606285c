import { readFileSync, readlinkSync } from 'node:fs';
import os from 'node:os';
import { bootId } from './boot.js';

/** Who holds, or asks for, a lock. JSON; in the claim file and in the answer of the lock's socket. */
export interface LockOwner {
  readonly run: string;
  /** What is locked: the run's own folder, or a checkpoint folder. */
  readonly kind: 'run' | 'checkpoints';
  /** The locked folder's real path. */
  readonly dir: string;
  readonly host: string;
  readonly bootId: string;
  readonly pid: number;
  /** Start time of the process, clock ticks since boot; undefined where there is no /proc. */
  readonly pidStart?: string;
  /** The pid namespace's inode: a pid means nothing in another one. */
  readonly pidNamespace?: string;
  /** When the lock was asked for, ms since 1970. */
  readonly at: number;
}

/** This process, as the owner of a lock. */
export function thisOwner(what: Pick<LockOwner, 'run' | 'kind' | 'dir'>, at: number): LockOwner {
  return { ...what, host: os.hostname(), bootId: bootId(), pid: process.pid, ...processIdentity(), at };
}

/** Whether a claim was written under the kernel we run on, so that its socket's word is final. */
export const isSameHost = (owner: LockOwner): boolean =>
  owner.host === os.hostname() && owner.bootId === bootId();

/** Whether two owners are one process. */
export const isSameProcess = (a: LockOwner, b: LockOwner): boolean =>
  a.pid === b.pid &&
  a.pidStart === b.pidStart &&
  a.pidNamespace === b.pidNamespace &&
  a.bootId === b.bootId &&
  a.host === b.host;

/** `pid 123 on host x since 2026-01-31 10:00:00 UTC`. */
export const describeOwner = (owner: LockOwner): string =>
  `pid ${owner.pid} on host ${owner.host} since ${new Date(owner.at).toISOString().slice(0, 19).replace('T', ' ')} UTC`;

function processIdentity(): Pick<LockOwner, 'pidStart' | 'pidNamespace'> {
  try {
    const stat = readFileSync('/proc/self/stat', 'utf8');
    // the command may hold blanks and parentheses, so fields are counted after the last `)`; starttime is field 22
    const pidStart = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    const pidNamespace = /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0];
    return {
      ...(pidStart === undefined ? {} : { pidStart }),
      ...(pidNamespace === undefined ? {} : { pidNamespace }),
    };
  } catch {
    // no /proc here (macOS): host, boot and pid must do
    return {};
  }
}
