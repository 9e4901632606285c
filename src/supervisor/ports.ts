import type { Autopsy, Exit, Failure, HostFacts, LogTail, StackSummary } from '../failure/types.js';
import type { CheckpointFact, Standing } from '../policy/checkpoint.js';
import type { Result } from '../util/result.js';

export type { CheckpointFact, Standing } from '../policy/checkpoint.js';
export type { Exit, Failure, HostFacts, LogTail, StackSummary } from '../failure/types.js';

/** Time and chance, so that the loop can be run in virtual time. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Milliseconds, monotonic, valid within one boot and comparable between processes of it. */
  mono(): number;
  /** 0 to 1. */
  random(): number;
  /** Calls back once after `delayMs`; the answer cancels it. */
  after(delayMs: number, callback: () => void): () => void;
}

export interface LaunchSpec {
  /** `<stateDir>/runs/<name>/attempts/NNN`; made by the engine, must not exist or hold an unwon launch. */
  readonly attemptDir: string;
  readonly attempt: number;
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  /** The whole environment of the worker, TRAINGUARD_* included. */
  readonly env: Readonly<Record<string, string>>;
  /** The run's random id: `TRAINGUARD_RUN_ID`, and the marker `TRAINGUARD_MARK_<id>` the engine adds. */
  readonly runId: string;
  readonly stopSignal: string;
  readonly stdin: 'null' | 'inherit';
}

export type LogStream = 'out' | 'err';

/** How far each log was read and folded, bytes. */
export type LogOffsets = Readonly<Record<LogStream, number>>;

export interface WorkerEvents {
  /** A line of the worker, without its end; longer ones are cut at 64 KiB. In order within a stream. */
  line(text: string, stream: LogStream): void;
  /** A process of the attempt cannot be killed. */
  stuck(pid: number, wchan: string): void;
  /** Something a person should know: logs could not be bounded, leftovers were found after success… */
  notice(text: string): void;
}

export interface StopOrder {
  readonly signal: string;
  readonly graceMs: number;
  readonly dumpStacks: boolean;
  readonly preempted: boolean;
}

/** One launched attempt on some engine. */
export interface Worker {
  /** The main process: the user's command itself. */
  readonly pid: number;
  /** Whether the main process is there. */
  readonly alive: boolean;
  /** Settles once the main process ended, nothing of the attempt is left alive, and both logs are read to their end. */
  readonly ended: Promise<Exit>;
  /** Reads both logs to their present end; every line goes to the events first. */
  drain(): Promise<void>;
  readonly offsets: LogOffsets;
  /** Whether the main process is stopped (state T): time that is not held against it. */
  isSuspended(): boolean;
  /** Starts the stop ladder; calling it again with another order only makes it more urgent. */
  stop(order: StopOrder): void;
  /** A checkpoint of it became complete: what a preempted worker that catches no signal is stopped after. */
  noteCheckpoint(): void;
  /** SIGKILL for everything, at once. */
  kill(): void;
  /** Writes what each thread does into the attempt's stacks.txt. */
  dumpStacks(): Promise<void>;
  /** What the last dump showed, in short; undefined: there was none. */
  readonly stacks?: StackSummary | undefined;
  /** The end of each log, at most `bytes` each. */
  tails(bytes: number): Promise<readonly LogTail[]>;
  hostFacts(): Promise<HostFacts>;
}

/** An attempt that an earlier supervisor left under way. */
export interface AdoptSpec {
  readonly attemptDir: string;
  /** The run's random id. */
  readonly runId: string;
  /** How far the logs were folded; reading goes on there. */
  readonly offsets: LogOffsets;
}

export interface Engine {
  readonly name: 'local' | 'slurm' | 'ray';
  /** A command that cannot be started is not a Problem: it is a Worker that ended `not-started`, or with 126 or 127. */
  launch(spec: LaunchSpec, events: WorkerEvents): Promise<Result<Worker>>;
  /**
   * Takes an attempt in hand that an earlier supervisor launched, alive or ended meanwhile. undefined: it was never
   * started, and now never will be.
   */
  adopt(spec: AdoptSpec, events: WorkerEvents): Promise<Result<Worker | undefined>>;
}

export interface Inspection {
  /** Oldest first. */
  readonly checkpoints: readonly CheckpointFact[];
  /** Visible entries of the folder that belong to no checkpoint. */
  readonly foreign: readonly string[];
  /** What the framework would stumble over though the checkpoints are good, in words: `latest names step_20, which is not there`. */
  readonly disorder?: string;
}

/** What goes back to a checkpoint: the answer of a rollback, and of a look at one that is not done. */
export interface RollbackPlan {
  /** Checkpoints that leave the folder, newest first. */
  readonly moves: readonly { readonly id: string; readonly from: string; readonly to: string }[];
  /** What is put back out of the vault. */
  readonly restores: readonly { readonly id: string; readonly to: string; readonly sizeBytes: number }[];
  /** Pointers, `checkpoints.include` and `checkpoints.clean`: what becomes of each, in words. */
  readonly others: readonly string[];
}

export interface RollbackDone {
  readonly tx: string;
  /** Ids moved, and where they are now. */
  readonly moved: readonly { readonly id: string; readonly to: string }[];
  /** Ids put back out of the vault, and where they lie now. */
  readonly restored: readonly { readonly id: string; readonly to: string }[];
  /** Pointers rewritten, and what else was put in order, in words. */
  readonly others: readonly string[];
}

/** Files and folders outside the checkpoint folder that a rollback puts in order, by absolute paths. */
export interface RollbackExtra {
  /** Copies that the vault keeps, put back; what lies in their place goes into quarantine. */
  readonly puts: readonly { readonly from: string; readonly to: string }[];
  /** What goes into quarantine and is not replaced. */
  readonly moves: readonly string[];
}

export interface RollbackRequest {
  /** May be a spare: it is put back first. */
  readonly target?: string;
  /** Newest first; no spares. */
  readonly moves: readonly string[];
  readonly reason: string;
  /** The transaction's name, where several folders share one. Done already, it is not done again. */
  readonly tx?: string;
  /** What besides checkpoints goes with them. */
  readonly extra?: RollbackExtra;
  /** Called now and then while bytes are copied. */
  readonly onProgress?: (done: { readonly bytes: number; readonly of: number }) => void;
}

/** Something that retention keeps or removes. */
export interface Prunable {
  /** `spare`: in the vault; `transaction`: what a rollback moved away; `checkpoint`: in the folder. */
  readonly kind: 'spare' | 'transaction' | 'checkpoint';
  readonly id: string;
  /** Why, in words: `one of the last 2`. */
  readonly because: string;
  /** What its removal frees; nothing for a hard link to what lies in the folder. */
  readonly bytes: number;
}

export interface Pruned {
  readonly keep: readonly Prunable[];
  readonly drop: readonly Prunable[];
}

/** The checkpoint folder of a run, with its vault. */
export interface CheckpointStore {
  readonly dir: string;
  /** Every folder, where there are several; `dir` is the first. */
  readonly dirs?: readonly string[] | undefined;
  /** The vault's folder; undefined where the store was opened for reading and there is none. */
  readonly vault: string | undefined;
  readonly layout: string;
  /** How long a checkpoint is left alone by the worker before it counts as written. */
  readonly settleMs: number;
  /** The folder was found, not named: nothing is moved that this run's attempts did not write. */
  readonly guessed: boolean;
  /** Finishes a rollback that was cut off, forward. Called before anything else. Answers what it finished. */
  recover(): Promise<Result<readonly string[]>>;
  /**
   * What there is. `live`: the worker is at work, so what is young or open for writing is not judged yet.
   * Verifies by content what has no valid manifest (newest first, within `budgetMs`).
   */
  inspect(options: {
    readonly live: boolean;
    readonly step?: number;
    readonly budgetMs: number;
    /** Nobody waits for the answer any more: what was not begun is left, what was begun is broken off. */
    readonly signal?: AbortSignal;
  }): Promise<Result<Inspection>>;
  /** Healthy time and steps that passed since the last call count for every verified checkpoint older than them. */
  credit(healthy: { readonly ms: number; readonly steps: number }): Promise<void>;
  mark(id: string, standing: Standing, why: string): Promise<Result<void>>;
  /**
   * Removes what retention lets go (CHECKPOINTS.md), as of the last look; more where the disk is nearly full, which is
   * said. What cannot be removed is said and tried again the next time.
   */
  retain(): Promise<void>;
  /**
   * Removes what retention lets go, and says each.
   * @param options folder: from the checkpoint folder too, not from the vault alone
   */
  prune(options: { readonly dryRun: boolean; readonly folder: boolean }): Promise<Result<Pruned>>;
  /** A person says that it is to be kept, or no longer. A pinned checkpoint has a spare that stays. */
  pin(id: string, on: boolean): Promise<Result<void>>;
  /**
   * Keeps in the vault what a rollback may need though the trainer removes it or writes over it, as of the last
   * inspection, and drops what is no longer needed. It ends no run: what cannot be kept is told.
   * @param options live: the worker is at work; signal: gives up what is being copied
   */
  keep(options: { readonly live: boolean; readonly signal?: AbortSignal }): Promise<void>;
  /**
   * Reads a checkpoint's bytes once more, as a rollback to it does, and marks it if it is damaged.
   * @param afresh also what was read since the store was opened
   * @returns what is wrong with it, in words; undefined: nothing
   */
  vet(id: string, afresh?: boolean): Promise<Result<string | undefined>>;
  /** The journalled transaction of CHECKPOINTS.md. */
  rollback(request: RollbackRequest): Promise<Result<RollbackDone>>;
  /** What {@link rollback} would do; changes nothing. */
  plan(request: RollbackRequest): Promise<Result<RollbackPlan>>;
  /**
   * Reverses the last rollback that was not reversed yet, or the one named. A named one that was reversed before, or never
   * was, is refused with the code UNDONE_ALREADY or NO_ROLLBACK.
   */
  undo(tx?: string): Promise<Result<RollbackDone>>;
  /** The id of the checkpoint that the framework itself records as the best, if it does. */
  best(): Promise<string | undefined>;
  /** Calls back when something changed in the folder (top level only). */
  watch(changed: () => void): () => void;
  close(): Promise<void>;
}

/** How an attempt ended is judged here (failure/classify). */
export type Classify = (autopsy: Autopsy) => Failure;
