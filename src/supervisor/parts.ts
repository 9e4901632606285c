import type { CodeFacts, FailureKind } from '../failure/types.js';
import type { Effect } from '../policy/effect.js';
import type { Event, StopSource } from '../policy/event.js';
import type { Policy } from '../policy/policy.js';
import type { FailureRecord, State } from '../policy/state.js';
import type { Heartbeat, Progress } from '../progress/types.js';
import type {
  CheckpointFact,
  CheckpointStore,
  Classify,
  Clock,
  Engine,
  LaunchSpec,
  AdoptSpec,
  LogOffsets,
} from './ports.js';

/** One turn of the loop, for whoever reports: what happened, what it changed, what is done about it. */
export interface Happening {
  readonly event: Event;
  readonly before: State;
  readonly after: State;
  readonly effects: readonly Effect[];
}

/** What is true right now; what `status` is made from. */
export interface Live {
  readonly state: State;
  readonly progress?: Progress;
  readonly offsets?: LogOffsets;
  /** Monotonic ms at which silence becomes a hang; undefined where it never does. */
  readonly nextDeadlineMono?: number;
  readonly checkpoints?: { readonly latest?: CheckpointFact; readonly safe?: CheckpointFact };
}

/** What an earlier supervisor knew of the attempt that it left under way, all at one instant. */
export interface Inheritance {
  readonly attempt: number;
  readonly progress: Progress;
  readonly offsets: LogOffsets;
  /** When it knew, monotonic ms of its boot. */
  readonly mono: number;
}

/** What somebody wants who left a request in the run folder. */
export interface StopWish {
  readonly by: StopSource;
  /** Once the next checkpoint is complete. */
  readonly atCheckpoint: boolean;
}

/** When a command of the user's is called (config `hooks`). */
export type HookName = 'onFailure' | 'beforeRollback' | 'afterRollback' | 'onGiveUp' | 'onComplete';

/** What a hook is told, besides which run it is. */
export interface HookContext {
  readonly attempt: number;
  readonly failure?: FailureRecord;
  /** The checkpoint that is gone back to, and what leaves the folder for it; for the two around a rollback. */
  readonly rollback?: {
    readonly target?: string;
    readonly moves: readonly string[];
    readonly reason: string;
  };
  /** How the run ended, in words. */
  readonly reason?: string;
}

/** What the host is asked before an attempt. */
export interface HostQuestion {
  /** undefined: nothing failed, only the room for a checkpoint is looked at. */
  readonly after: FailureKind | undefined;
  readonly failure?: FailureRecord;
  /** What the next checkpoint is likely to need; undefined: nobody knows. */
  readonly saveBytes: number | undefined;
  /** How long this has been waited for, ms. */
  readonly waitedMs: number;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

export type HostAnswer =
  | { readonly type: 'ready'; readonly env?: Readonly<Record<string, string>> }
  /** What has to be waited for, in words. */
  | { readonly type: 'wait'; readonly for: string }
  /** The user's own check says that no waiting helps. */
  | { readonly type: 'never'; readonly why: string };

/** Everything the supervisor needs from outside. A verb's composition root wires it. */
export interface Parts {
  readonly policy: Policy;
  readonly clock: Clock;
  readonly bootId: string;
  readonly engine: Engine;
  /** undefined: no checkpoint folder is known, there is no rollback. */
  readonly store?: CheckpointStore;
  /** Checkpoints are in another folder than when the run was last at work. */
  readonly otherFolder: boolean;
  readonly classify: Classify;
  /** What makes this training go on from a checkpoint, and what of that it was given, in words. */
  resumeAdvice(): string;
  /** How often a folder is scanned at most when nothing calls for it, ms. */
  readonly scanEveryMs: number;
  /** How long verification may hold up an attempt, ms. */
  readonly verifyBudgetMs: number;
  /** How long a new checkpoint is left alone before it is looked at, ms. */
  readonly settleMs: number;
  launchSpec(launch: Extract<Effect, { type: 'launch' }>): LaunchSpec;
  /** What an earlier supervisor knew of the attempt under way; undefined: not even where its logs were read to. */
  readonly inheritance?: Inheritance;
  adoptSpec(attempt: number, offsets: LogOffsets): AdoptSpec;
  /** Writes events down so that they survive; rejects when the disk will not take them, and then has none of them. */
  persist(events: readonly Event[]): Promise<void>;
  /** Called after each turn and each tick; must not throw. */
  observe(happening: Happening): void;
  publish(live: Live): void;
  heartbeat(heartbeat: Heartbeat, at: number, offsets: LogOffsets): void;
  /** Something a person should know. */
  notice(text: string): void;
  /** A request left in the run folder, e.g. by `trainguard stop`. */
  takeStopRequest(): Promise<StopWish | undefined>;
  checkHost(question: HostQuestion): Promise<HostAnswer>;
  /**
   * Watches the files that stand for progress (config `heartbeat.files`); undefined: there are none.
   * @returns ends the watch
   */
  readonly watchFiles?: (grew: () => void) => () => void;
  /**
   * Heartbeats that come otherwise than in the output (`--serve`), each as the line that would say the same; undefined:
   * there are none.
   * @returns ends it
   */
  readonly hearLines?: (heard: (line: string) => void) => () => void;
  /** Reads the heartbeats of one line; for each attempt anew, since a format may span lines. */
  heartbeatReader(): (line: string) => readonly Heartbeat[];
  /** What an attempt that starts now is run from; undefined: nobody can say. */
  codeFacts(): Promise<CodeFacts | undefined>;
  /**
   * Calls the user's command and waits for it; never rejects.
   * @param signal nobody waits for it any more: it is ended
   * @returns that the failure is permanent, in words, if the hook said so (exit 125)
   */
  runHook(name: HookName, context: HookContext, signal: AbortSignal): Promise<string | undefined>;
}
