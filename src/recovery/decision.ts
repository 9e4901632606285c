import type { FailureKind } from '../failure/types.js';

/** A kind of failure as the library names it: the command's own, and a training that does not converge. */
export type RecoveryKind = Exclude<FailureKind, 'success'> | 'convergence';

/** An error as it is told: by this process, or by a worker in another language. */
export interface ErrorReport {
  /** The class: `RuntimeError`, `TypeError`. */
  readonly type?: string;
  /** What it says of itself. */
  readonly message: string;
  /**
   * The stack or traceback in the language's own form; of a process that ended, the end of what it wrote. The last
   * 64 KiB are read.
   */
  readonly traceback?: string;
  /** The system's or runtime's own code: `ENOSPC`, `ECONNRESET`, `ERR_MODULE_NOT_FOUND`, `HTTP 503`. */
  readonly code?: string;
  /** How the process ended that the error tells of: 0 to 255, or -9 as Python says SIGKILL. */
  readonly exitCode?: number;
  /** The same by its signal: `SIGKILL`. */
  readonly signal?: string;
  /** What it came from, the nearest first, and the members of an aggregate. At most 16 are looked at, and none of theirs. */
  readonly causes?: readonly Omit<ErrorReport, 'causes'>[];
}

/** What went before, so that the same failure again and again is seen. JSON. */
export interface PastFailure {
  readonly kind: RecoveryKind;
  readonly fingerprint?: string;
  readonly step?: number;
  /**
   * The training got further after it: it and those before it use no retries any more. Only whether the same comes back
   * at the same step still counts.
   */
  readonly cured?: boolean;
}

/** What is done about a kind of failure. */
export interface RecoveryRule {
  /** Run the training again. */
  readonly retry: boolean;
  /** Go back to the newest checkpoint that can be trusted before the retry. */
  readonly rollback: boolean;
}

/** What a failure is, before anything is decided about it. */
export interface RecoveryFailure {
  /** What it is counted as. */
  readonly kind: RecoveryKind;
  /** Equal for two failures that are the same failure; left out where nothing identifies it. */
  readonly fingerprint?: string;
  /** What happened, one plain sentence. */
  readonly reason: string;
  /** What a person may do about it. */
  readonly advice?: string;
}

export interface DecisionRequest {
  readonly error: ErrorReport;
  /** The step at which it failed, if known. */
  readonly step?: number;
  /** Failures before this one, the oldest first: those since the training last got further, and `cured` ones before. */
  readonly history: readonly PastFailure[];
  /** So many are borne between two points at which the training got further. */
  readonly maxRetries: number;
  readonly rollbackEnabled: boolean;
  readonly backoff: {
    readonly initialMs: number;
    readonly factor: number;
    readonly maxMs: number;
    readonly jitter: number;
  };
  /** From 0 up to 1: chance comes in as data. */
  readonly jitter: number;
  /**
   * What the user says instead of the table, by kind; what is left out stays as the table has it. `retry: true` also
   * goes before the limit on repeats of one failure, `maxRetries` holds all the same.
   */
  readonly rules?: Readonly<Partial<Record<RecoveryKind, Partial<RecoveryRule>>>>;
}

/** What is to be done about an error, and why. */
export interface RecoveryDecision extends RecoveryFailure {
  /** Whether the training is run again. */
  readonly retry: boolean;
  /** Whether it goes back to the newest checkpoint that can be trusted before. */
  readonly rollback: boolean;
  /** Before the retry. 0 without one. */
  readonly delayMs: number;
  /** Why this is done, one plain sentence. */
  readonly why: string;
}
