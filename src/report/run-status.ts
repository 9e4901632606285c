import type { FailureRecord } from '../policy/state.js';
import type { Live } from '../supervisor/parts.js';
import type { Goodput } from './goodput.js';
import type { Incident } from './incident.js';

/** What a run was started with; recorded beside its state. */
export interface RunSettings {
  readonly command: readonly string[];
  readonly engine: 'local' | 'slurm' | 'ray';
  readonly maxRetries: number;
  /** The first, where there are several. */
  readonly checkpointDir?: string;
  /** As they were named, absolute, globs among them; where more than one folder may be meant. */
  readonly checkpointDirs?: readonly string[];
  readonly layout?: string;
  readonly guessed?: boolean;
  /** `--vault`, where one was named. */
  readonly vault?: string;
}

/** state.json: what status shows, progress and log offsets together. */
export interface StateRecord extends Live {
  readonly run: string;
  readonly settings: RunSettings;
  /** The supervisor that wrote it. */
  readonly pid: number;
  readonly host: string;
  readonly bootId: string;
  /** Its pid, and the worker's, mean nothing in another pid namespace. */
  readonly pidNamespace?: string;
  /** When it was written: wall time and that boot's monotonic time, ms. */
  readonly at: number;
  readonly mono: number;
  /** The number of the journal's newest entry then; undefined: written by a version that did not say. */
  readonly journal?: number;
  /** How many heartbeats of the run had been noted for metrics.jsonl. */
  readonly heartbeats?: number;
}

export type RunStateName =
  | 'starting'
  | 'running'
  | 'stopping'
  | 'rolling-back'
  | 'backing-off'
  | 'waiting'
  | 'completed'
  | 'failed'
  | 'stopped'
  | 'preempted'
  | 'orphaned';

/** One run in `status --json`. Times are ISO 8601; what is not known is null. */
export interface RunStatus {
  readonly run: string;
  readonly state: RunStateName;
  /** Whether a supervisor is at work on it. */
  readonly active: boolean;
  /** The one that is, else the last that was; null: the run has ended, or it never said who it is. */
  readonly supervisor: SupervisorView | null;
  /** The worker's main process, on its supervisor's host; null: none, or none that can be seen from here. */
  readonly pid: number | null;
  /** Null before the run's first state is written. */
  readonly engine: string | null;
  readonly command: readonly string[];
  readonly attempt: number;
  readonly retriesUsed: number;
  readonly maxRetries: number;
  readonly totalFailures: number;
  readonly step: number | null;
  readonly totalSteps: number | null;
  readonly loss: number | null;
  readonly lastHeartbeatAt: string | null;
  readonly nextDeadlineAt: string | null;
  readonly nextRetryAt: string | null;
  readonly waitingFor: string | null;
  readonly warning: string | null;
  readonly reason: string | null;
  readonly checkpoint: { readonly latest: CheckpointView | null; readonly safe: CheckpointView | null };
  readonly lastRecoveryStatus: 'success' | 'failed' | null;
  readonly failures: readonly FailureView[];
  /** The newest; null: there was none. */
  readonly incident: IncidentView | null;
  readonly workers: readonly WorkerView[];
  readonly goodput: { readonly ettr: number | null } & Omit<Goodput, 'ettr'>;
}

export interface SupervisorView {
  readonly pid: number;
  readonly host: string;
  /** As seen from where `status` is asked: `other-boot` is this host before its restart. */
  readonly where: 'here' | 'other-namespace' | 'other-boot' | 'other-host';
  /** When it last wrote the run's state, and how long ago that is. */
  readonly seenAt: string | null;
  readonly ageSeconds: number | null;
}

export interface CheckpointView {
  readonly id: string;
  readonly path: string;
  readonly step: number | null;
  readonly standing: string;
}

export interface FailureView {
  readonly attempt: number;
  readonly kind: string;
  readonly reason: string;
  readonly step: number | null;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly action: string;
  readonly rolledBackTo: string | null;
  readonly at: string;
  readonly evidence: FailureRecord['evidence'];
}

/** The newest incident in short; all of it is in `file`, and beside that as JSON. */
export interface IncidentView extends Pick<
  Incident,
  'number' | 'attempt' | 'at' | 'kind' | 'step' | 'cause' | 'action' | 'lost' | 'outcome' | 'advice'
> {
  /** Markdown; its path is absolute. */
  readonly file: string;
}

export interface WorkerView {
  readonly workerId: string;
  readonly status: 'active' | 'failed' | 'recovered';
  readonly lastCheckpoint: string | null;
  readonly failureCount: number;
  readonly lastHeartbeat: string | null;
  readonly currentBatch: number | null;
}
