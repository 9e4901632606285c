import type { JsonCheckpoints } from './json-checkpoints.js';
import type { WorkerState } from './types.js';

/** What a change of the table of workers leaves to be remembered. JSON. */
export type WorkerChange =
  /** The worker as it is now, and the limits of its own: those that it brought. */
  | { readonly type: 'worker'; readonly worker: WorkerState; readonly limits: Partial<WorkerTimes> }
  | { readonly type: 'gone'; readonly workerId: string }
  | { readonly type: 'monitoring'; readonly monitoring: boolean };

/** A worker's limits, all known. */
export interface WorkerTimes {
  readonly heartbeatTimeoutMs: number;
  readonly maxFailures: number;
}

/** Everything that a manager remembers from one life to the next. */
export interface Remembered {
  readonly workers: readonly { readonly worker: WorkerState; readonly limits: Partial<WorkerTimes> }[];
  readonly monitoring: boolean;
}

/**
 * Keeps what a manager would have to remember if it died. `heartbeat`, `registerWorker` and the others settle only after
 * this did.
 */
export interface WorkerLog {
  /**
   * @param durable must survive a power cut too, not only the death of this process. Heartbeats need not.
   * @throws the system's own error where it cannot be written: the caller's method fails with it. A log may keep what
   * need not survive a power cut, write it later and not throw
   */
  append(changes: readonly WorkerChange[], durable: boolean): Promise<void>;
}

/** Time, so that tests can lead it. `mono` in ms. */
export interface RecoveryClock {
  now(): number;
  mono(): number;
  /** Calls once, later; the process need not stay alive for it. @returns takes it back */
  after(ms: number, call: () => void): () => void;
}

/** What a manager stands on, for programs that keep its state or lead its time. */
export interface RecoveryInternals {
  /** Keeps every change; nothing is kept unless given. */
  readonly log?: WorkerLog;
  /**
   * What an earlier manager's log kept. Monitoring is as it was: where it was on, every worker gets a whole timeout from
   * now on; where it was off, it counts as stopped.
   */
  readonly remembered?: Remembered;
  readonly clock?: RecoveryClock;
  /** Another judges the training: however often a worker fails, it may go on when it beats again. */
  readonly patient?: boolean;
  /** Instead of those in `checkpointDir`. */
  readonly checkpoints?: JsonCheckpoints;
}
