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
  /** The line, or the fact in words. */
  readonly text: string;
  /** Where it stands: a log file and its line, or a host fact such as `oom_kill`. */
  readonly source: string;
}

/** A classified end of an attempt. */
export interface Failure {
  /** What it is counted as. */
  readonly kind: FailureKind;
  /** Equal for two failures that are the same failure; undefined where nothing identifies it. */
  readonly fingerprint?: string;
  /** One plain sentence: what happened. */
  readonly reason: string;
  /** What a person may do about it, if there is something to say. */
  readonly advice?: string;
  /** What told it; empty where the exit status alone did. */
  readonly evidence: readonly Evidence[];
  /** 0 to 1. */
  readonly confidence: number;
  /** The signature in the table that told it. */
  readonly signature?: string;
  /**
   * What it says of the checkpoint that was being loaded: its bytes could not be read, or they do not fit the program.
   * Which of the two is to blame only the checkpoint's own verification knows.
   */
  readonly loading?: 'unreadable' | 'misfit';
  /** What a rule of the user's says to do; it goes before everything the kind would bring. */
  readonly ruled?: 'retry' | 'fail' | 'ignore' | 'rollback';
}

/** A log's end, as the classifier gets it. */
export interface LogTail {
  /** What evidence names as its source; a name with the word `err` in it is the error stream's. */
  readonly source: string;
  /** Its last lines, as they were printed. */
  readonly text: string;
  /** The number of its first line in the file, from 1; undefined: not known, lines are then counted from the tail's start. */
  readonly firstLine?: number;
}

/** What is known of the host at the time of a failure. Unknown is not zero. */
export interface HostFacts {
  /** How often the kernel's memory killer struck in the worker's cgroup while this attempt ran. */
  readonly oomKills?: number;
  /** Free bytes in the folders that training writes to, by path. */
  readonly freeBytes?: Readonly<Record<string, number>>;
  /** The host was started anew since the attempt was launched. */
  readonly rebooted?: true;
  /** Memory of the worker's cgroup, or of the host, when the attempt ended or shortly before, bytes. */
  readonly memory?: { readonly usedBytes: number; readonly limitBytes: number };
  /**
   * The kernel's own log since the launch, as far as it may be read: memory kills that name a process of the attempt,
   * GPU errors (`NVRM: Xid`), disks that fail. Oldest first.
   */
  readonly kernel?: readonly string[];
}

/** What the threads of a hanging attempt were seen to do. */
export interface StackSummary {
  /** The file that holds all of it. */
  readonly file: string;
  readonly by: 'py-spy' | 'faulthandler' | 'proc';
  /** The innermost frame of the user's code in the main thread, in words: `train_step (train.py line 88)`. */
  readonly top?: string;
}

/** What an attempt was run from. Any of it may be unknown. */
export interface CodeFacts {
  /** The commit of the folder's git repository, 40 hex digits. */
  readonly head?: string;
  /** Digest of what differs from it, untracked files of the training left out; undefined: nothing differs, or not known. */
  readonly diff?: string;
  /** The program that runs the script, and what version it says of itself: `/usr/bin/python3.11 (Python 3.11.2)`. */
  readonly interpreter?: string;
}

/** Everything a classification may look at. */
export interface Autopsy {
  /** How the main process ended. */
  readonly exit: Exit;
  /** The ends of its logs: standard output, standard error. */
  readonly tails: readonly LogTail[];
  /** What its heartbeats said, if they said that something is wrong. */
  readonly health?: HealthFinding;
  /** What is known of the host; `{}` is nothing. */
  readonly host: HostFacts;
}
