import { readFileSync, readlinkSync } from 'node:fs';
import { errorCode } from './durable.js';
import type { LockOwner } from './lock-owner.js';

/**
 * Whether the process that wrote a claim under this kernel still lives, by pid and start time.
 * @returns undefined if its pid means nothing here: another pid namespace, or no /proc
 */
export function isProcessAlive(owner: LockOwner): boolean | undefined {
  try {
    if (/\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] !== owner.pidNamespace) return undefined;
  } catch {
    // no /proc here (macOS)
    return undefined;
  }
  try {
    const stat = readFileSync(`/proc/${owner.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[19] === owner.pidStart && fields[0] !== 'Z';
  } catch (error) {
    return errorCode(error) === 'ENOENT' || errorCode(error) === 'ESRCH' ? false : undefined;
  }
}
