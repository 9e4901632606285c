import type { CodeFacts, Exit, Failure, FailureKind, StackSummary } from '../failure/types.js';
import type { HealthFinding, Instant, Phase } from '../progress/types.js';
import type { CheckpointFact } from './checkpoint.js';

/** What an attempt's heartbeats came to. */
export interface ProgressSummary {
  readonly heartbeats: number;
  readonly firstStep?: number;
  readonly lastStep?: number;
  readonly firstEpoch?: number;
  readonly totalSteps?: number;
  readonly loss?: number;
  /** The first step at which the training was seen to be unhealthy. */
  readonly badStep?: number;
  /** When that was seen, ms since 1970. */
  readonly badAt?: number;
  /** From launch to the first progress, ms. */
  readonly startMs?: number;
  /** From the first to the last progress, ms. */
  readonly trainMs?: number;
  readonly longestIntervalMs?: number;
  readonly longestPhaseMs: Readonly<Partial<Record<Phase, number>>>;
}

/**
 * Who wants the run to stop. `warning`: the machine will be taken away soon (Slurm's USR1), there is time for one more
 * checkpoint; `preemption`: it is taken away now.
 */
export type StopSource = 'interrupt' | 'terminate' | 'request' | 'preemption' | 'warning';

/** Whether the run comes back by itself after a stop. */
export const isPreemption = (by: StopSource): by is 'preemption' | 'warning' =>
  by === 'preemption' || by === 'warning';

/**
 * Everything that may change a decision. Each carries the time it happened (`at` wall, `mono` monotonic);
 * chance comes in as `jitter`, 0 to 1. All of it is journalled.
 */
export type Event = Instant &
  (
    | {
        readonly type: 'started';
        readonly bootId: string;
        /** Checkpoints are in another folder than before: what the old one held says nothing of it. */
        readonly otherFolder?: boolean;
      }
    | {
        readonly type: 'inspected';
        /** Oldest first. */
        readonly checkpoints: readonly CheckpointFact[];
        /** The folder was only guessed: what this run did not write must not be moved. */
        readonly guessed: boolean;
        /** What the framework would stumble over though the checkpoints are good, in words. */
        readonly disorder?: string;
        /** What the next attempt could not save for, in words: `1.2 GiB of free space for …`. */
        readonly lacks?: string;
        /** A hook said that the failure is permanent, in words. */
        readonly veto?: string;
        /** What is wrong with the bytes of the checkpoint that the failed attempt began with; null: nothing, they were read. */
        readonly resumedDamage?: string | null;
        readonly jitter: number;
      }
    | { readonly type: 'inspection-failed'; readonly reason: string; readonly jitter: number }
    | {
        readonly type: 'rolled-back';
        readonly quarantined: readonly string[];
        readonly tx?: string;
        /** A hook said after it that the failure is permanent, in words. */
        readonly veto?: string;
      }
    /** `permanent`: a hook forbade it, and another try would be forbidden too. */
    | { readonly type: 'rollback-failed'; readonly reason: string; readonly permanent?: true }
    /** What deeper rollbacks had moved is back; `left`: what could not be put back, in words. */
    | { readonly type: 'undone'; readonly left?: string }
    | { readonly type: 'backoff-elapsed' }
    /** `env`: what the next attempt is told besides, such as another MASTER_PORT. */
    | { readonly type: 'host-ready'; readonly env?: Readonly<Record<string, string>> }
    /** `permanent`: waiting is in vain, since the user's own check says so. */
    | { readonly type: 'host-not-ready'; readonly waitingFor: string; readonly permanent?: true }
    | { readonly type: 'launched'; readonly pid: number }
    /** The attempt that an earlier supervisor left under way is under watch again, also if it has ended meanwhile. */
    | {
        readonly type: 'adopted';
        readonly pid: number;
        readonly alive: boolean;
        readonly unwatchedMs: number;
      }
    /** The attempt that an earlier supervisor was about to launch never started, and now never will. */
    | { readonly type: 'launch-abandoned' }
    /** What the attempt is run from was found out. */
    | { readonly type: 'code-noted'; readonly attempt: number; readonly code: CodeFacts }
    | { readonly type: 'progressed'; readonly summary: ProgressSummary }
    | {
        readonly type: 'checkpoint-verified';
        readonly checkpoint: CheckpointFact;
        /** It became complete while it was watched; the others were there before. */
        readonly fresh?: boolean;
      }
    | { readonly type: 'unhealthy'; readonly finding: HealthFinding }
    | { readonly type: 'silence-warning'; readonly silentMs: number; readonly basis: string }
    | {
        readonly type: 'deadline';
        readonly which: 'startup' | 'silence';
        readonly silentMs: number;
        readonly basis: string;
        readonly lastStep?: number;
      }
    | { readonly type: 'stuck'; readonly pid: number; readonly wchan: string }
    | {
        readonly type: 'exited';
        readonly exit: Exit;
        readonly failure: Failure;
        readonly summary: ProgressSummary;
        /** What its threads were last seen to do, if it went silent. */
        readonly stacks?: StackSummary;
      }
    | {
        readonly type: 'stop-requested';
        readonly by: StopSource;
        /** Once the next checkpoint is complete. */
        readonly atCheckpoint?: boolean;
      }
    | { readonly type: 'stop-forced' }
  );

export type EventType = Event['type'];

export type { FailureKind };
