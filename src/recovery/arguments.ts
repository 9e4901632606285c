import { checkField, isRecord, secondsFromZero, shown, wholeFrom } from './fields.js';
import type { Beat, WorkerBeat } from './types.js';
import { checkWorkerId } from './worker-id.js';

/**
 * Nobody registered the worker that was named.
 * @example
 * ```ts
 * import { RecoveryManager, UnknownWorkerError } from 'trainguard';
 *
 * const manager = new RecoveryManager();
 * const problem: unknown = await manager.markWorkerFailed('w7').catch((error: unknown) => error);
 * console.log(problem instanceof UnknownWorkerError && problem.workerId); // w7
 * ```
 */
export class UnknownWorkerError extends Error {
  /** For who has no class to compare with. */
  override readonly name = 'UnknownWorkerError';
  /** The name that nobody bears. */
  readonly workerId: string;

  constructor(workerId: string) {
    super(`no worker ${JSON.stringify(workerId)} is registered: register it first`);
    this.workerId = workerId;
  }
}

export function unknownWorker(id: string): never {
  throw new UnknownWorkerError(id);
}

const batch = wholeFrom(0);

/** @throws TypeError not a string; RangeError a string that may not name a worker */
export function workerIdOf(id: unknown): string {
  const checked = checkWorkerId(id);
  if (checked.ok) return checked.value;
  throw typeof id === 'string' ? new RangeError(checked.error.message) : new TypeError(checked.error.message);
}

/** @throws TypeError, RangeError one clear sentence */
export function beatOf(state: unknown): Beat {
  if (state === undefined) return {};
  if (!isRecord(state)) throw new TypeError(`the state of a heartbeat is an object, not ${shown(state)}`);
  const { currentBatch, unreachedSeconds } = state;
  if (currentBatch !== undefined) checkField('currentBatch', currentBatch, batch);
  if (unreachedSeconds !== undefined) checkField('unreachedSeconds', unreachedSeconds, secondsFromZero);
  return state;
}

/** A reason that is longer is cut: it is kept in memory, and told to everyone who listens. */
const reasonBound = 2000;

/** @throws TypeError one clear sentence */
export function reasonOf(reason: unknown): string {
  if (typeof reason !== 'string') throw new TypeError(`reason is a text, not ${shown(reason)}`);
  return reason.slice(0, reasonBound);
}

/** @throws TypeError, RangeError one clear sentence that says which of them */
export function workerBeatsOf(beats: unknown): WorkerBeat[] {
  if (!Array.isArray(beats)) throw new TypeError(`heartbeats are a list, not ${shown(beats)}`);
  return beats.map((one: unknown, index) => {
    try {
      const beat = beatOf(one ?? null);
      return { ...beat, workerId: workerIdOf(beat['workerId']) };
    } catch (error) {
      if (error instanceof Error) error.message = `heartbeats[${index}]: ${error.message}`;
      throw error;
    }
  });
}
