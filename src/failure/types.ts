import type { HealthFinding } from '../progress/types.js';

/** What ended an attempt (section 6). */
export type FailureKind =
  | 'success'
  | 'command'
  | 'config'
  | 'code'
  | 'exception'
  | 'numeric'
  | 'gpu-memory'
  | 'host-memory'
  | 'gpu'
  | 'network'
  | 'storage'
  | 'checkpoint'
  | 'not-resumed'
  | 'hang'
  | 'preempted'
  | 'stopped'
  | 'killed'
  | 'unknown';

/** How the worker's main process ended. `unknown`: no status was left and no process is there. */
export type Exit =
  | { readonly type: 'code'; readonly code: number }
  | { readonly type: 'signal'; readonly signal: string; readonly number: number }
  | { readonly type: 'unknown' }
  /** The command could not be started at all; code as execve's: ENOENT, EACCES… */
  | { readonly type: 'not-started'; readonly code: string; readonly message: string };

/** A line or fact that a classification rests on. */
export interface Evidence {
  readonly text: string;
  /** Where it stands: a log file and its line, or a host fact such as `oom_kill`. */
  readonly source: string;
}

/** A classified end of an attempt. */
export interface Failure {
  readonly kind: FailureKind;
  /** Equal for two failures that are the same failure; undefined where nothing identifies it. */
  readonly fingerprint?: string;
  /** One plain sentence: what happened. */
  readonly reason: string;
  /** What a person may do about it, if there is something to say. */
  readonly advice?: string;
  readonly evidence: readonly Evidence[];
  /** 0 to 1. */
  readonly confidence: number;
  /** What a rule of the user's says to do; it goes before everything the kind would bring. */
  readonly ruled?: 'retry' | 'fail' | 'ignore' | 'rollback';
}

/** A log's end, as the classifier gets it. */
export interface LogTail {
  readonly source: string;
  readonly text: string;
}

/** What is known of the host at the time of a failure. Unknown is not zero. */
export interface HostFacts {
  /** How often the kernel's memory killer struck in the worker's cgroup while this attempt ran. */
  readonly oomKills?: number;
  /** Free bytes in the folders that training writes to, by path. */
  readonly freeBytes?: Readonly<Record<string, number>>;
  /** The host was started anew since the attempt was launched. */
  readonly rebooted?: true;
}

/** Everything a classification may look at. */
export interface Autopsy {
  readonly exit: Exit;
  readonly tails: readonly LogTail[];
  readonly health?: HealthFinding;
  readonly host: HostFacts;
}
