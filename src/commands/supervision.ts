import fs from 'node:fs/promises';
import type { StateRecord } from '../report/status-view.js';
import type { Run } from '../runs/open-run.js';
import { refused } from '../runs/problems.js';
import { errorCode } from '../util/os/durable.js';
import { isFresh, type Place, type Where, whereIs } from '../util/os/lock-owner.js';
import { probeLock } from '../util/os/lock-probe.js';
import { ok, type Result } from '../util/result.js';

/** Who supervises a run, as far as can be known from here. */
export interface Supervision {
  readonly active: boolean;
  /** The one that does, else the last that was; undefined: none ever said who it is. */
  readonly supervisor?: Supervisor;
  /** When state.json was last written, by the clock that stamps files, ms since 1970; undefined: never. */
  readonly writtenAt?: number;
}

export interface Supervisor {
  readonly pid: number;
  readonly host: string;
  /** Its pid may be looked up only if that is `here`. */
  readonly where: Where;
}

/**
 * Looks whether a run has a supervisor. On this kernel the lock knows; of other hosts one counts as alive while its
 * claim or the run's state is fresh.
 * @param record what state.json says; undefined: nothing, or nothing that can be read
 * @param now ms since 1970
 */
export async function supervisionOf(
  run: Run,
  record: StateRecord | undefined,
  now: number,
): Promise<Result<Supervision>> {
  try {
    const [holder, writtenAt] = await Promise.all([
      probeLock({ dir: run.dir, keepIn: run.dir }),
      modifiedAt(run.paths.state),
    ]);
    const age = writtenAt !== undefined && { writtenAt };
    const last = record && writtenAt !== undefined ? placed(record, writtenAt) : undefined;
    if (holder) {
      const supervisor = holder.owner ? placed(holder.owner, now) : last;
      return ok({ active: true, ...(supervisor && { supervisor }), ...age });
    }
    return ok({
      active: isAliveElsewhere(record, writtenAt, now),
      ...(last && { supervisor: last }),
      ...age,
    });
  } catch (error) {
    return refused(`see who supervises run ${run.name}`, error);
  }
}

/** Whether the run's state is proof enough of a supervisor on another host, though its lock cannot be seen. */
export function isAliveElsewhere(
  record: StateRecord | undefined,
  writtenAt: number | undefined,
  now: number,
): boolean {
  if (!record || writtenAt === undefined || record.state.name === 'ended') return false;
  return whereIs(record, writtenAt) === 'other-host' && isFresh(now - writtenAt);
}

/** When a file was last written; undefined: there is none. */
export async function modifiedAt(file: string): Promise<number | undefined> {
  try {
    return (await fs.stat(file)).mtimeMs;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

const placed = (place: Place & { readonly pid: number }, writtenAt: number): Supervisor => ({
  pid: place.pid,
  host: place.host,
  where: whereIs(place, writtenAt),
});
