import type { FailureKind } from '../failure/types.js';

/** A kind of failure as the library names it: the command's own, and a training that does not converge. */
export type RecoveryKind = Exclude<FailureKind, 'success'> | 'convergence';

/** An error as it is told: by this process, or by a worker in another language. */
export interface ErrorReport {
  /** The class: `RuntimeError`, `TypeError`. */
  readonly type?: string;
  readonly message: string;
  /** The stack or traceback in the language's own form, the error's own lines among them. At most 64 KiB are read. */
  readonly traceback?: string;
}

/** What went before, so that the same failure again and again is seen. JSON. */
export interface PastFailure {
  readonly kind: RecoveryKind;
  readonly fingerprint?: string;
  readonly step?: number;
}

/** What is done about a kind of failure. */
export interface RecoveryRule {
  readonly retry: boolean;
  readonly rollback: boolean;
}

export interface DecisionRequest {
  readonly error: ErrorReport;
  /** The step at which it failed, if known. */
  readonly step?: number;
  /** Failures before this one since the last success, the oldest first. */
  readonly history: readonly PastFailure[];
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
  /** What the user says instead of the table, by kind. */
  readonly rules?: Readonly<Partial<Record<RecoveryKind, RecoveryRule>>>;
}

/** What is to be done about an error, and why. */
export interface RecoveryDecision {
  readonly kind: RecoveryKind;
  readonly fingerprint?: string;
  /** What happened, one plain sentence. */
  readonly reason: string;
  readonly advice?: string;
  readonly retry: boolean;
  readonly rollback: boolean;
  /** Before the retry. 0 without one. */
  readonly delayMs: number;
  /** Why this is done, one plain sentence. */
  readonly why: string;
}
