import { readFileSync, readlinkSync } from 'node:fs';
import os from 'node:os';
import { bootId } from './boot.js';

/** Where a process runs: only within one place does a pid name one process. */
export interface Place {
  readonly host: string;
  readonly bootId: string;
  /** The pid namespace's inode; undefined where there is no /proc. */
  readonly pidNamespace?: string;
}

/** Who holds, or asks for, a lock. JSON; in the claim file and in the answer of the lock's socket. */
export interface LockOwner extends Place {
  readonly run: string;
  /** What is locked: the run's own folder, or a checkpoint folder. */
  readonly kind: 'run' | 'checkpoints';
  /** The locked folder's real path. */
  readonly dir: string;
  readonly pid: number;
  /** Start time of the process, clock ticks since boot; undefined where there is no /proc. */
  readonly pidStart?: string;
  /** When the lock was asked for, ms since 1970. */
  readonly at: number;
}

/** `other-boot`: on this host, before it was started anew. `other-namespace`: on this kernel, in another container. */
export type Where = 'here' | 'other-namespace' | 'other-boot' | 'other-host';

/** From another host a word counts for 2 minutes (DESIGN section 4, "Locks"). */
export const freshForMs = 120_000;

/** Whether what was written so long ago still says that its writer lives. One from the future says nothing. */
export const isFresh = (ageMs: number): boolean => Math.abs(ageMs) < freshForMs;

export const thisPlace = (): Place => {
  const pidNamespace = thisNamespace();
  return { host: os.hostname(), bootId: bootId(), ...(pidNamespace !== undefined && { pidNamespace }) };
};

/** This process, as the owner of a lock. */
export function thisOwner(what: Pick<LockOwner, 'run' | 'kind' | 'dir'>, at: number): LockOwner {
  const pidStart = thisStart();
  return { ...what, ...thisPlace(), pid: process.pid, ...(pidStart !== undefined && { pidStart }), at };
}

/** @param writtenAt when the place was last said to be alive, ms since 1970 */
export function whereIs(place: Place, writtenAt: number): Where {
  if (isSameHost(place)) return place.pidNamespace === thisNamespace() ? 'here' : 'other-namespace';
  if (place.host !== os.hostname()) return 'other-host';
  // since this boot nothing was heard of it; otherwise it is another host that bears our name
  return writtenAt < Date.now() - os.uptime() * 1000 ? 'other-boot' : 'other-host';
}

/** Whether pids that were written down in a pid namespace name the same processes here; one not noted was ours. */
export const sharesPids = ({ pidNamespace }: Pick<Place, 'pidNamespace'>): boolean =>
  pidNamespace === undefined || pidNamespace === thisNamespace();

/**
 * Whether a claim was written under the kernel we run on, so that its socket's word is final. A container has a
 * hostname of its own; without /proc the boot id is but a minute, which two hosts may share.
 */
export const isSameHost = (place: Place): boolean =>
  place.bootId === bootId() && (place.pidNamespace !== undefined || place.host === os.hostname());

/** Whether two owners are one process. */
export const isSameProcess = (a: LockOwner, b: LockOwner): boolean =>
  a.pid === b.pid &&
  a.pidStart === b.pidStart &&
  a.pidNamespace === b.pidNamespace &&
  a.bootId === b.bootId &&
  a.host === b.host;

/** `pid 123 on host x since 2026-01-31 10:00:00 UTC`. */
export function describeOwner(owner: LockOwner): string {
  const inside = whereIs(owner, Date.now()) === 'other-namespace' ? ' in another pid namespace' : '';
  const since = new Date(owner.at).toISOString().slice(0, 19).replace('T', ' ');
  return `pid ${owner.pid}${inside} on host ${owner.host} since ${since} UTC`;
}

/** Undefined where there is no /proc (macOS): host, boot and pid must do. */
function thisNamespace(): string | undefined {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0];
  } catch {
    return undefined;
  }
}

function thisStart(): string | undefined {
  try {
    const stat = readFileSync('/proc/self/stat', 'utf8');
    // the command may hold blanks and parentheses, so fields are counted after the last `)`; starttime is field 22
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
