import type { FailureKind } from '../failure/types.js';
import type { Standing } from './checkpoint.js';

/** Steps a script may want to skip after a numeric failure (TRAINGUARD_SKIP_FROM_STEP and its kin). */
export interface SkipHints {
  readonly failStep?: number;
  readonly skipFromStep?: number;
  readonly skipToStep?: number;
}

/** How the folder gets back to what it was before rollbacks that went deeper than damage called for. */
export interface UndoOrder {
  /** Newest first. What was saved since goes into quarantine before each, since it may bear the same names. */
  readonly transactions: readonly DeeperRollback[];
}

/** A rollback past a checkpoint that was only suspect. */
export interface DeeperRollback {
  readonly tx: string;
  /** Path of the checkpoint that was gone back to; undefined: none was left. */
  readonly target?: string;
  /** When it was done, ms since 1970: what was modified later was saved since. Old journals have none. */
  readonly at?: number;
}

/** What the supervisor does once the state that asked for it is saved. Plain data. */
export type Effect =
  /**
   * Look at the checkpoint folder; no process of the run is alive. `reread`: read the bytes of the one with this path
   * again. Answered by inspected or inspection-failed.
   */
  | { readonly type: 'inspect'; readonly reread?: string }
  /** Move these (newest first) into quarantine. Answered by rolled-back or rollback-failed. */
  | {
      readonly type: 'roll-back';
      readonly target?: string;
      readonly moves: readonly string[];
      readonly reason: string;
      /** The transaction's name, where it must be known though nobody lives to hear of its end. */
      readonly tx?: string;
    }
  /** Put back what deeper rollbacks had moved. Answered by undone. */
  | ({ readonly type: 'undo' } & UndoOrder)
  /** Answered by backoff-elapsed. */
  | { readonly type: 'wait'; readonly delayMs: number }
  /** Answered by host-ready, or host-not-ready (and tried again by the supervisor until ready). */
  | { readonly type: 'check-host'; readonly after: FailureKind }
  | {
      readonly type: 'launch';
      readonly attempt: number;
      readonly resume?: { readonly path: string; readonly step?: number };
      readonly lastFailure?: FailureKind;
      readonly hints?: SkipHints;
      readonly env?: Readonly<Record<string, string>>;
    }
  /**
   * Take the attempt in hand that an earlier supervisor left under way. Answered by adopted or launch-abandoned, and by
   * exited.
   */
  | { readonly type: 'adopt'; readonly attempt: number }
  /** The stop ladder. Answered by exited. */
  | {
      readonly type: 'stop-worker';
      readonly signal: string;
      readonly graceMs: number;
      readonly dumpStacks: boolean;
      /** USR1's way: pass the warning on as the worker can take it, else wait for the next checkpoint. */
      readonly preempted: boolean;
    }
  | { readonly type: 'kill-worker' }
  | { readonly type: 'dump-stacks' }
  | { readonly type: 'mark'; readonly id: string; readonly standing: Standing; readonly why: string }
  /** Something a person should know that no state shows. */
  | { readonly type: 'tell'; readonly text: string }
  | { readonly type: 'finish' };
