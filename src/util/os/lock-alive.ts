import { readFileSync, readlinkSync } from 'node:fs';
import { errorCode } from './durable.js';
import { type LockOwner, thisPlace } from './lock-owner.js';

/**
 * Whether the process that wrote a claim under this kernel still lives, by pid and start time.
 * @returns undefined if its pid means nothing here: another pid namespace, no /proc, or one of another namespace
 */
export function isProcessAlive(owner: LockOwner): boolean | undefined {
  if (owner.pidNamespace === undefined || owner.pidNamespace !== thisPlace().pidNamespace) return undefined;
  try {
    // after `unshare --pid` without a new /proc, what it lists are others' pids
    if (readlinkSync('/proc/self') !== String(process.pid)) return undefined;
    const stat = readFileSync(`/proc/${owner.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[19] === owner.pidStart && fields[0] !== 'Z';
  } catch (error) {
    return errorCode(error) === 'ENOENT' || errorCode(error) === 'ESRCH' ? false : undefined;
  }
}
