import type { RecoveryContext } from './context.js';
import type { RecoveryDecision, RecoveryFailure } from './decision.js';
import type { RecoveryStrategies } from './strategies.js';

/** A time as the configuration file takes it: `'500ms'`, `'30s'`, `'5m'`, `'2h'`, or a number of seconds. */
export type Duration = string | number;

/** The configuration file's table `checkpoints`. Relative paths are taken from the working directory. */
export interface CheckpointsTable {
  /** The folder, several, or globs. */
  readonly dir?: string | readonly string[];
  /** Whose layout it has, `auto` unless given. */
  readonly layout?: string;
  /** Where what is moved away goes; beside the folder unless given. */
  readonly vault?: string;
  /** How long nothing may have been written before it counts as complete; by the file system unless given. */
  readonly settle?: Duration;
  /** Healthy training after it that proves a checkpoint safe; 2 min unless given. */
  readonly provenAfter?: Duration;
  /** How much of a checkpoint is read to verify it, `auto` unless given. */
  readonly verify?: 'auto' | 'deep' | 'shallow';
  /** Files besides that belong to a checkpoint (docs/folders.md); copies of them are the command's to take. */
  readonly include?: readonly string[];
  /** Files that a rollback moves away, whatever the checkpoint (docs/folders.md). */
  readonly clean?: readonly string[];
  /** How many checkpoints are kept, by the file's keys. */
  readonly keep?: Readonly<Record<string, unknown>>;
}

/**
 * The caller's own look at the machine before a retry.
 * @returns what is lacking, in words; nothing if the retry may begin
 */
export type ResourceCheck = (
  context: RecoveryContext,
  failure: RecoveryFailure,
) => string | null | undefined | Promise<string | null | undefined>;

/** The configuration of a {@link RecursiveTrainingRecovery}: keys of the configuration file, and functions. */
export interface RecursiveTrainingRecoveryConfig {
  /**
   * Retries without getting further: a further good checkpoint begins the count anew; where no folder is known, or only
   * its time says that a checkpoint is newer, a higher `step`. 3 unless given.
   */
  readonly maxRetries?: number;
  /** Go back to the newest checkpoint that can be trusted before a retry; true unless given. */
  readonly rollbackEnabled?: boolean;
  /** The wait before a retry; 10 s, doubled each time up to 5 min, up to a quarter more by chance. */
  readonly backoff?: {
    readonly initial?: Duration;
    readonly factor?: number;
    readonly max?: Duration;
    readonly jitter?: number;
  };
  /** Where checkpoints are; unless given, where the context's `lastCheckpointPath` lies, and there nothing is moved. */
  readonly checkpoints?: CheckpointsTable;
  /**
   * Retry from the beginning though there were good checkpoints, or steps, and none may be resumed from; false unless
   * given.
   */
  readonly allowScratch?: boolean;
  /** Runs the training again. It failed if this throws; whatever it returns, it succeeded. */
  readonly retry: (context: RecoveryContext) => unknown;
  /** What is done instead of the usual about a kind of failure, or about any. */
  readonly strategies?: RecoveryStrategies;
  /**
   * Before a retry there must be room on the disk for one more checkpoint, and after a lack of memory a quarter of it
   * must be free. false: nothing is looked at; a function: it is asked besides.
   */
  readonly checkResources?: boolean | ResourceCheck;
  /**
   * Ends a recovery: `recover` then answers false at once, and nothing is moved any more. The training is the caller's to
   * stop.
   */
  readonly signal?: AbortSignal;
  /** Told of each step. What it throws, or rejects with, becomes a warning of the process. */
  readonly onEvent?: (event: RecursiveRecoveryEvent) => unknown;
}

/** What a recovery does, as it does it. */
export type RecursiveRecoveryEvent =
  | { readonly type: 'failure'; readonly decision: RecoveryDecision; readonly step?: number }
  /** `path`: what is resumed from; null: the beginning. `moved`: ids of what went into quarantine. */
  | {
      readonly type: 'rolled-back';
      readonly path: string | null;
      readonly moved: readonly string[];
      readonly reason: string;
    }
  | { readonly type: 'backing-off'; readonly delayMs: number }
  | { readonly type: 'retry'; readonly attempt: number }
  | { readonly type: 'recovered'; readonly retries: number }
  | { readonly type: 'gave-up'; readonly why: string }
  /** Something a person should know. */
  | { readonly type: 'notice'; readonly text: string };

/** What became of the newest recovery, and of the one under way. */
export interface RecoveryStatus {
  /** How the newest recovery that is over ended; null: none is. */
  readonly lastRecoveryStatus: 'success' | 'failed' | null;
  /** One is under way. */
  readonly recovering: boolean;
  /** How often `retry` was called by the newest recovery, the one under way included. */
  readonly attempts: number;
  /** What failed and what was done about it, one sentence each, the oldest first; of the newest recovery, 100 at most. */
  readonly reasons: readonly string[];
  /** The newest failure and what was decided about it; null: there was none. */
  readonly lastFailure: RecoveryDecision | null;
}
