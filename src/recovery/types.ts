/** What a worker is doing, as far as its heartbeats say. */
export type WorkerStatus = 'active' | 'failed' | 'recovered';

/** What is known of one worker. */
export interface WorkerState {
  /** 1 to 128 letters, digits or `. _ : @ -`. */
  readonly workerId: string;
  /** `failed` stays until it beats again; `recovered` until it beats once more. */
  readonly status: WorkerStatus;
  /** Path of the newest JSON checkpoint that was saved for it; null: there is none. */
  readonly lastCheckpoint: string | null;
  /** How often it was marked failed, by its silence or by someone's word; less those that only its line was to blame for. */
  readonly failureCount: number;
  /** When it last beat, or was registered, ms since 1970. */
  readonly lastHeartbeat: number;
  /** The batch that it last named; 0 until it names one. */
  readonly currentBatch: number;
}

/** What a worker says of itself when it beats. What else it holds is let pass. */
export interface Beat {
  /** A whole number from 0 on; left out: unchanged. */
  readonly currentBatch?: number | undefined;
  /**
   * For how long what it said did not get through: a failure that was counted meanwhile for its silence is taken back.
   */
  readonly unreachedSeconds?: number | undefined;
  readonly [field: string]: unknown;
}

/** One of many heartbeats that are told at once. */
export interface WorkerBeat extends Beat {
  /** Whose it is. */
  readonly workerId: string;
}

/** How long one worker may be silent, and how often it may fail. */
export interface WorkerLimits {
  /** Seconds between two heartbeats; 5 unless given. */
  readonly heartbeatInterval?: number | undefined;
  /** Seconds of silence after which it counts as failed; three intervals unless given. */
  readonly heartbeatTimeout?: number | undefined;
  /** Failures after which it may still go on; 3 unless given. One more, and `heartbeat` answers false for good. */
  readonly maxFailures?: number | undefined;
}

export interface RecoveryManagerOptions extends WorkerLimits {
  /** Where JSON checkpoints go, one folder a worker; `checkpoints` unless given. Made at the first save. */
  readonly checkpointDir?: string | undefined;
  /** Checkpoints kept of each worker, the newest first; 3 unless given. */
  readonly keepCheckpoints?: number | undefined;
}

/** What happened to a worker, or to the watch over them. `at`: ms since 1970. */
export type RecoveryEvent =
  | { readonly type: 'registered'; readonly at: number; readonly worker: WorkerState }
  | { readonly type: 'unregistered'; readonly at: number; readonly worker: WorkerState }
  /** By its silence, or by who called `markWorkerFailed`. */
  | { readonly type: 'failed'; readonly at: number; readonly worker: WorkerState; readonly reason: string }
  /** It was failed, and beat again. */
  | { readonly type: 'recovered'; readonly at: number; readonly worker: WorkerState }
  /** It had recovered, and beat once more. */
  | { readonly type: 'active'; readonly at: number; readonly worker: WorkerState }
  | {
      readonly type: 'checkpoint';
      readonly at: number;
      readonly workerId: string;
      readonly checkpoint: SavedCheckpoint;
    }
  | { readonly type: 'monitoring'; readonly at: number; readonly monitoring: boolean };

/** A JSON checkpoint on disk. */
export interface SavedCheckpoint {
  /** The file, which holds the state's JSON itself. */
  readonly path: string;
  /** Ms since 1970; never less than that of an older checkpoint of the same worker. */
  readonly savedAt: number;
  /** The file's size. */
  readonly bytes: number;
  /** SHA-256 of the file's bytes, 64 hex digits; the file's name bears it too. */
  readonly sha256: string;
}

/** The answer to one heartbeat. */
export interface BeatAnswer {
  /** As it was asked for. */
  readonly workerId: string;
  /** False: stop. It failed more often than it may, is not registered, or monitoring was stopped. */
  readonly shouldContinue: boolean;
  /** null: no such worker. */
  readonly status: WorkerStatus | null;
}
