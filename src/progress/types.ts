/** What a training says it is doing. `done`: its steps are over, and what comes then has no rhythm (an export). */
export type Phase = 'startup' | 'train' | 'eval' | 'checkpoint' | 'done';

/** One report of progress, read from a line of the training's output (section 5). Unknown is not zero. */
export interface Heartbeat {
  /** Optimizer steps done, as the training counts them. */
  readonly step?: number;
  /** Passes over the data done; may be a fraction. */
  readonly epoch?: number;
  /** The training loss; may be NaN or Infinity. */
  readonly loss?: number;
  /** The gradient's norm; may be NaN or Infinity. */
  readonly gradNorm?: number;
  /** The steps that it will be at its end. */
  readonly totalSteps?: number;
  /** What it is doing from now on. */
  readonly phase?: Phase;
  /** A checkpoint's path, as the script names it. */
  readonly checkpoint?: string;
  /** Which process of a distributed training says so, from 0. */
  readonly rank?: number;
  /** What told it, if the script did not say it for us: a format's id, or `pattern` for the user's expression. */
  readonly format?: string;
  /** A progress bar that nothing identifies moved on: a sign of work, without counts. */
  readonly bar?: true;
  /** Other numbers of the line, by their own names. At most 32. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** Wall time (ms since 1970) and monotonic time (ms, valid within one boot). */
export interface Instant {
  readonly at: number;
  readonly mono: number;
}

/** What heartbeats say of the training's health. */
export interface HealthFinding {
  /** What was seen. */
  readonly kind: 'non-finite-loss' | 'non-finite-grad-norm' | 'loss-spike' | 'step-went-back' | 'not-resumed';
  /** The first step at which it was seen. */
  readonly step?: number;
  /** Ms since 1970. */
  readonly at?: number;
  /** One plain sentence. */
  readonly reason: string;
  /** What a person may do about it. */
  readonly advice?: string;
}

/**
 * All that heartbeats of one attempt have said, folded. Small, JSON, and safe to save as it is.
 * Times are monotonic milliseconds.
 */
export interface Progress {
  readonly startedMono: number;
  /** Last line, checkpoint growth or heartbeat file growth: life, not progress. */
  readonly lastLifeMono: number;
  /** When the checkpoint folder or a file that stands for progress last grew: silence is forgiven from here. */
  readonly graceFromMono?: number;
  /** When a progress bar last moved on that nothing identifies: silence counts from here, as long as it moves. */
  readonly barMono?: number;
  /** Last recognised progress: a heartbeat that says something new (a step gone up, or no step at all). */
  readonly lastProgressMono?: number;
  readonly lastHeartbeatAt?: number;
  readonly heartbeats: number;
  readonly firstStep?: number;
  readonly step?: number;
  readonly maxStep?: number;
  readonly totalSteps?: number;
  readonly epoch?: number;
  readonly firstEpoch?: number;
  /** What counted these steps and epochs, as of a heartbeat. */
  readonly format?: string;
  /** The last finite training loss; NaN would not survive JSON, `badLosses` counts those. */
  readonly loss?: number;
  readonly phase?: Phase;
  readonly phaseSinceMono?: number;
  /** Whether this worker reports `phase` at all. */
  readonly reportsPhase: boolean;
  /** Whether a heartbeat of rank 0, or of no rank, was seen: from then on other ranks' are life only. */
  readonly led: boolean;
  /** Time from launch to the first progress, ms. */
  readonly startMs?: number;
  /** The longest time between two progresses of this attempt, ms. */
  readonly longestIntervalMs?: number;
  /** The longest time without progress in each phase, ms: a step's for train, as a rule the whole of an evaluation. */
  readonly longestPhaseMs: Readonly<Partial<Record<Phase, number>>>;
  /** Non-finite training losses in a row, and gradient norms likewise. */
  readonly badLosses: number;
  readonly badGradNorms: number;
  readonly firstBadStep?: number;
  /** When the present row of bad numbers began, ms since 1970. */
  readonly firstBadAt?: number;
  /** The last finite losses, at most 64: what a spike is measured against. */
  readonly recentLosses: readonly number[];
  /** Set once the training is unhealthy; stays. */
  readonly unhealthy?: HealthFinding;
  /** The newest loss spike: another object for each new one. A reason to warn, or to act if so configured. */
  readonly spike?: HealthFinding;
  /** Noted once: a step went back. No reason to act. */
  readonly wentBack?: HealthFinding;
}

/** What earlier attempts taught about this run: how long things take, in ms, and how its steps are counted. */
export interface TimingHistory {
  readonly everProgressed: boolean;
  readonly longestIntervalMs?: number;
  readonly longestStartMs?: number;
  /** Steps are counted anew, each epoch or each launch: a low step is no sign of a new beginning. */
  readonly stepsRestart?: true;
  /** The earliest epoch that an attempt began with. */
  readonly firstEpoch?: number;
  readonly longestPhaseMs: Readonly<Partial<Record<Phase, number>>>;
}

/** How long silence is borne. `undefined` timeouts are adaptive (section 5). */
export interface SilenceSettings {
  readonly startupTimeoutMs?: number;
  readonly timeoutMs?: number;
}

/** When silence is warned of and when it is a hang, monotonic ms. `hangAtMono` undefined: it only warns. */
export interface SilenceDeadline {
  readonly which: 'startup' | 'silence';
  readonly warnAtMono: number;
  readonly hangAtMono?: number;
  /** In words: `5 × the longest interval seen (2m 10s)`. */
  readonly basis: string;
}
