import { createHash, randomBytes } from 'node:crypto';
import os from 'node:os';

/** What a checkpoint's name says. Names sort as their checkpoints were saved. */
export interface CheckpointName {
  readonly name: string;
  /** Ms since 1970. */
  readonly savedAt: number;
  readonly counter: number;
  readonly sha256: string;
}

/** The form of a name; digits that are no date pass. */
export const form = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{3}Z)-(\d{6})\.([0-9a-f]{64})\.json$/;
const countersEnd = 1_000_000;

/** @returns undefined: it is no checkpoint of ours */
export function parseName(name: string): CheckpointName | undefined {
  const [, year, month, day, hour, minute, second, counter, sha256] = form.exec(name) ?? [];
  const savedAt = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}`);
  if (sha256 === undefined || Number.isNaN(savedAt)) return undefined;
  return { name, savedAt, counter: Number(counter), sha256 };
}

/** A folder's checkpoints, the newest first. */
export const newestFirst = (names: readonly string[]): CheckpointName[] =>
  names
    .toSorted()
    .reverse()
    .flatMap((name) => parseName(name) ?? []);

/** The name of one that is saved after all others: where the clock stepped back, the last stamp stays and the counter goes up. */
export function nextName(newest: CheckpointName | undefined, now: number, sha256: string): CheckpointName {
  let savedAt = Math.trunc(now);
  let counter = 0;
  if (newest && newest.savedAt >= savedAt) {
    counter = (newest.counter + 1) % countersEnd;
    savedAt = newest.savedAt + (counter === 0 ? 1 : 0);
  }
  const stamp = new Date(savedAt).toISOString().replaceAll(/[-:]/g, '');
  return { name: `${stamp}-${String(counter).padStart(6, '0')}.${sha256}.json`, savedAt, counter, sha256 };
}

/** The folder of a worker's checkpoints: two ids that differ in case alone must not share one on a disk that ignores it. */
export function folderOf(workerId: string): string {
  if (!/[A-Z]/.test(workerId)) return workerId;
  return `${workerId}~${createHash('sha256').update(workerId).digest('hex').slice(0, 8)}`;
}

/** Tells our temporary files from those of another host that writes to the same folder. */
const host = createHash('sha256').update(os.hostname()).digest('hex').slice(0, 8);
/** A container's first process is number 1 each time, and threads share theirs: the number alone makes no name of its own. */
const life = randomBytes(4).toString('hex');
const temporaryForm = /^\.saving-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}-\d+\.tmp$/;
let temporaries = 0;

/** Where a checkpoint grows until it is whole. */
export const temporaryName = (): string => `.saving-${host}-${process.pid}-${life}-${temporaries++}.tmp`;

/**
 * @returns the process that writes it; 0: one of another host. undefined: it is no temporary file of ours
 */
export function writerOf(name: string): number | undefined {
  const [, where, pid] = temporaryForm.exec(name) ?? [];
  if (pid === undefined) return undefined;
  return where === host ? Number(pid) : 0;
}
