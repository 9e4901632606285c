import type { CodeFacts, Exit, Failure, FailureKind, StackSummary } from '../failure/types.js';
import type { HealthFinding, Instant, TimingHistory } from '../progress/types.js';
import type { CheckpointFact } from './checkpoint.js';
import type { DeeperRollback, SkipHints, UndoOrder } from './effect.js';
import type { ProgressSummary, StopSource } from './event.js';

/** One failure and what was done about it; the newest 50 are kept in the state, all in the journal. */
export interface FailureRecord {
  readonly attempt: number;
  readonly at: number;
  readonly kind: FailureKind;
  readonly reason: string;
  readonly advice?: string;
  readonly evidence: Failure['evidence'];
  readonly fingerprint?: string;
  readonly step?: number;
  readonly exit: Exit;
  /** The first step at which the training was seen to be unhealthy (numeric). */
  readonly badStep?: number;
  /** When its first bad numbers came, ms since 1970: for a training that names no steps. */
  readonly badAt?: number;
  /** The attempt began anew instead of going on from this checkpoint. */
  readonly missed?: CheckpointFact;
  readonly ruled?: NonNullable<Failure['ruled']>;
  /** 0 to 1; old journals have none. */
  readonly confidence?: number;
  readonly signature?: string;
  readonly loading?: NonNullable<Failure['loading']>;
  /** What its threads were seen to do, if it hung. */
  readonly stacks?: StackSummary;
  /** What the attempt had resumed from. */
  readonly resumedFrom?: CheckpointFact;
  /** The attempt trained so long, from its first to its last progress, ms. */
  readonly trainMs?: number;
  /** How long it lived under watch, ms. */
  readonly lastedMs?: number;
  /** What the attempt was run from, and whether the attempt before it was run from something else, in words. */
  readonly code?: CodeFacts;
  readonly codeChanged?: string;
  /** In words: `retry 1 of 3`, `gave up: …`. Empty until decided. */
  readonly action: string;
  readonly rolledBackTo?: { readonly id: string; readonly step?: number };
  readonly quarantined: readonly string[];
}

/** How long the run spent, and what of it was kept. */
export interface Tally {
  readonly startedAt: number;
  /** Time from first to last progress, over all ended attempts, ms. */
  readonly trainedMs: number;
  /** Of that, time on steps that were done again later, ms. */
  readonly lostMs: number;
  readonly lostSteps: number;
}

/** From which step on a training was bad, as a failure says it too. */
export type Poisoned = Pick<FailureRecord, 'kind' | 'reason' | 'badStep' | 'badAt'>;

/** What the run remembers from attempt to attempt. */
export interface Ledger {
  /** The number of the current attempt, or of the next one while none runs. The first is 0. */
  readonly attempt: number;
  /** The newest attempt that was launched; undefined before the first. */
  readonly lastLaunched?: number;
  /** Attempts launched since the run was last started afresh. */
  readonly launched: number;
  readonly bootId: string;
  /** Failures in a row, without getting further, that used the budget. */
  readonly retriesUsed: number;
  readonly totalRetries: number;
  readonly totalFailures: number;
  /** Failures in a row without getting further, paid or free: the exponent of the backoff. */
  readonly backoffs: number;
  /** The first of the present row of outage failures. */
  readonly outageSince?: Instant;
  /** Since when the checkpoint folder can not be read or changed. */
  readonly folderAwaySince?: Instant;
  /** The furthest verified checkpoint any attempt had since the run was last started afresh. */
  readonly furthest?: CheckpointFact;
  /** Whether the run ever had a verified checkpoint. */
  readonly everVerified: boolean;
  /** The training had gone bad when it was stopped: what it saved from this step on must not be resumed from. */
  readonly poisoned?: Poisoned;
  /** The run had completed before: in an emptied folder it may begin again from nothing. */
  readonly mayBeginAnew?: true;
  readonly repeat?: { readonly fingerprint: string; readonly step?: number; readonly count: number };
  readonly freePreemptions: number;
  readonly timing: TimingHistory;
  readonly failures: readonly FailureRecord[];
  readonly lastRecovery: 'success' | 'failed' | null;
  readonly lastAttempt?: ProgressSummary;
  readonly hints?: SkipHints;
  /** What the newest attempt of which that was found out is run from. */
  readonly code?: CodeFacts & { readonly attempt: number };
  /** How that differs from the attempt before it, in words: `the code changed between attempts 2 and 3: …`. */
  readonly codeChanged?: string;
  /** Checkpoints that attempts failed soon after resuming from; forgotten when the run gets further. */
  readonly suspects?: readonly Suspect[];
  /** Rollbacks past suspects, oldest first: undone if the run is given up before it gets further. */
  readonly deeper?: readonly DeeperRollback[];
  /** What attempts are told besides, since the host asked for it: another MASTER_PORT. */
  readonly env?: Readonly<Record<string, string>>;
  readonly tally: Tally;
}

/** A checkpoint that is good as far as its bytes tell, and that training fails after. */
export interface Suspect extends Pick<CheckpointFact, 'path' | 'modifiedAt'> {
  /** Its loader could not read it, or training failed soon after it. */
  readonly by: 'loader' | 'training';
}

export type StopCause =
  | { readonly type: 'person'; readonly by: Exclude<StopSource, 'preemption' | 'warning'> }
  | { readonly type: 'preempted'; readonly warned: boolean }
  | {
      readonly type: 'hang';
      readonly which: 'startup' | 'silence';
      readonly silentMs: number;
      readonly basis: string;
    }
  | { readonly type: 'unhealthy'; readonly finding: HealthFinding }
  /** It began anew instead of going on from this checkpoint. */
  | { readonly type: 'not-resumed'; readonly finding: HealthFinding; readonly from: CheckpointFact };

export type Outcome = 'completed' | 'failed' | 'stopped' | 'preempted';

/** An attempt that is about to be, or is, at work. */
interface AttemptData {
  readonly resume?: CheckpointFact;
  /** A person wants it to stop once its next checkpoint is complete. */
  readonly stopAtCheckpoint?: true;
}

/** What comes after the checkpoint folder is in order. */
export type Next =
  | { readonly type: 'launch' }
  | { readonly type: 'check-host'; readonly after: FailureKind }
  | { readonly type: 'back-off'; readonly delayMs: number }
  /** The run ends; `why` in words. */
  | { readonly type: 'give-up'; readonly why: string };

/** A process that cannot be killed (state D), and where in the kernel it waits. */
export interface Stuck {
  readonly pid: number;
  readonly wchan: string;
}

/** Where the run stands. Each member carries only its own data; `ledger` goes through all. */
export type State = { readonly ledger: Ledger } & (
  | { readonly name: 'idle' }
  /** `after`: what brought us here. `failure`: judged once the folder was looked at. */
  | { readonly name: 'inspecting'; readonly after: 'start' | 'backoff' }
  | { readonly name: 'inspecting'; readonly after: 'failure'; readonly failure: FailureRecord }
  | { readonly name: 'inspecting'; readonly after: 'success' }
  | {
      readonly name: 'rolling-back';
      readonly next: Next;
      readonly target?: CheckpointFact;
      readonly reason: string;
      /** It goes past a checkpoint that is only suspect: the name of its transaction. */
      readonly deeper?: string;
      readonly stop?: StopSource;
    }
  /** The run is given up, and what only deeper rollbacks moved is put back first. */
  | { readonly name: 'putting-back'; readonly why: string; readonly order: UndoOrder }
  | ({ readonly name: 'backing-off'; readonly delayMs: number; readonly until: Instant } & AttemptData)
  | ({ readonly name: 'waiting'; readonly since: Instant; readonly waitingFor?: string } & AttemptData)
  | ({
      readonly name: 'starting';
      readonly since: Instant;
      /** A stop that was asked for before the worker was there, and whether it was asked for twice. */
      readonly stop?: StopSource;
      readonly forced?: boolean;
    } & AttemptData)
  | ({
      readonly name: 'running';
      readonly pid: number;
      readonly since: Instant;
      readonly warning?: string;
      readonly stuck?: Stuck;
      /** An earlier supervisor had begun to stop it for a person: how it ends soon after `since` says nothing of it. */
      readonly stopBegun?: true;
    } & AttemptData)
  | ({
      readonly name: 'stopping';
      readonly pid: number;
      readonly since: Instant;
      readonly cause: StopCause;
      readonly forced: boolean;
      readonly stuck?: Stuck;
    } & AttemptData)
  | {
      readonly name: 'ended';
      readonly outcome: Outcome;
      readonly exitCode: number;
      readonly reason: string;
      readonly at: number;
    }
);

export type StateName = State['name'];
