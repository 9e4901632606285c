import type { FailureKind } from '../failure/types.js';
import type { SilenceSettings } from '../progress/types.js';

/** A user's rule on failures (config `failures`): what it matches, and what is done. */
export interface FailureRule {
  /** All that it names must hold; exit codes and signals (`SIGKILL`) are alternatives. */
  readonly match: {
    readonly exitCodes?: readonly number[];
    readonly signals?: readonly string[];
    /** A regular expression's source, tried on each line of the logs' tails. */
    readonly pattern?: string;
  };
  /** What it is then counted as; as it would be without the rule, unless given. */
  readonly kind?: FailureKind;
  /** What is then done, whatever its kind. */
  readonly action?: 'retry' | 'fail' | 'ignore' | 'rollback';
}

/** Everything a user may set that changes a decision. JSON; recorded in the journal. Times in ms. */
export interface Policy {
  /** Failures in a row without getting further that are retried. */
  readonly maxRetries: number;
  /** Retries in all; undefined: unlimited. */
  readonly maxTotalRetries?: number;
  /** The same failure at the same step this often without getting further: give up. undefined: off. */
  readonly stopOnRepeat?: number;
  readonly outageWindowMs: number;
  readonly rollbackEnabled: boolean;
  readonly allowScratch: boolean;
  readonly backoff: {
    readonly initialMs: number;
    readonly factor: number;
    readonly maxMs: number;
    /** Up to this fraction is added, 0.25 by default. */
    readonly jitter: number;
  };
  readonly silence: SilenceSettings;
  readonly health: {
    readonly nonFinite: 'rollback' | 'warn';
    readonly spike: 'rollback' | 'warn';
    /** What becomes of an attempt that began anew though it was to resume. Old journals have none: `stop`. */
    readonly notResumed?: 'stop' | 'warn';
  };
  readonly stop: { readonly signal: string; readonly graceMs: number };
  readonly provenAfterMs: number;
  readonly rules: readonly FailureRule[];
}
