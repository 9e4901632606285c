import type { Exit, Failure } from '../failure/types.js';

/** What was seen of one attempt of a drill. Unknown is not zero. */
export interface AttemptSeen {
  readonly argv: readonly string[];
  readonly firstStep?: number;
  readonly lastStep?: number;
  readonly firstLoss?: number;
  /** The most steps between two heartbeats. */
  readonly largestGap: number;
  /** Lines that speak of resuming or loading, at most 20. */
  readonly mentions: readonly string[];
  /** It ended before it was killed. */
  readonly ended?: { readonly exit: Exit; readonly failure: Failure };
  readonly seconds: number;
}

/** The checkpoint that the second attempt was to go on from. */
export interface DrillTarget {
  readonly id: string;
  readonly path: string;
  readonly step?: number;
  /** The first attempt's loss there. */
  readonly loss?: number;
}

/** A line of the script, or of a file beside it that it imports. */
export interface ScriptLine {
  readonly file: string;
  readonly line: number;
}

/** A flag of the script that seems to make it resume. */
export interface ResumeFlag extends ScriptLine {
  readonly flag: string;
  readonly takesValue: boolean;
}

/** What the script's own text says of resuming. */
export interface ScriptFacts {
  readonly file: string;
  readonly flags: readonly ResumeFlag[];
  /** Where it reads TRAINGUARD_RESUME_FROM. */
  readonly variable?: ScriptLine;
  /** The first line that loads something a checkpoint may be. */
  readonly loads?: ScriptLine & { readonly text: string };
}

/** Why there was nothing to drill with. */
export type NoTarget =
  | { readonly type: 'none'; readonly timedOutAfterMs?: number }
  /** What there is was written at the end of the training. */
  | { readonly type: 'at-the-end'; readonly id: string }
  /** It saved on the way too, but what there is now is from its end. */
  | { readonly type: 'too-short'; readonly id: string }
  | { readonly type: 'damaged'; readonly why: string }
  /** Something was written into the training's own folder meanwhile. */
  | { readonly type: 'escaped'; readonly dir: string };

/** Everything that a drill has found out. */
export interface DrillFacts {
  readonly first: AttemptSeen;
  readonly target: DrillTarget | NoTarget;
  readonly second?: AttemptSeen & { readonly timedOutAfterMs?: number };
  /** The flags of the resume recipe as given, placeholders and all; empty: none. */
  readonly recipeArgs: readonly string[];
  /** How the framework that the checkpoints are of resumes, in words; undefined: it is not known which that is. */
  readonly framework?: string;
  readonly script?: ScriptFacts;
}

/** Why a drill proved what it did, or did not; each has its advice. */
export type DrillCause =
  | 'resumed'
  | 'no-checkpoint'
  | 'only-at-the-end'
  | 'ended-too-soon'
  | 'damaged-checkpoint'
  | 'own-folder'
  | 'first-attempt-failed'
  | 'load-error'
  | 'unknown-flag'
  | 'wrong-value'
  | 'flag-missing'
  | 'no-loading-code'
  | 'step-not-restored'
  | 'fixed-path'
  | 'not-loaded'
  | 'other-checkpoint'
  | 'beyond'
  | 'ended-at-once'
  | 'no-steps';

export interface DrillVerdict {
  readonly proven: boolean;
  readonly cause: DrillCause;
  /** What was seen, in one sentence. */
  readonly words: string;
  /** Exactly what to change; one line each. */
  readonly advice: readonly string[];
}

/** A verdict that nothing is proven. */
export const notProven = (cause: DrillCause, words: string, ...advice: readonly string[]): DrillVerdict => ({
  ...{ cause, words, advice },
  proven: false,
});
