import type { CodeFacts, Exit, FailureKind, StackSummary } from '../failure/types.js';

/** How an incident came out; null while that is open. `recovered`: a later attempt made progress, or completed. */
export type IncidentOutcome = 'recovered' | 'gave-up' | 'stopped' | null;

/** One thing that was done about a failure. */
export interface Deed {
  /** ISO 8601. */
  readonly at: string;
  readonly type:
    | 'stopped'
    | 'decided'
    | 'marked'
    | 'rolled-back'
    | 'put-back'
    | 'waited'
    | 'launched'
    | 'progressed'
    | 'trouble'
    | 'note'
    | 'ended';
  readonly text: string;
}

/** A line or fact that tells what happened; `file` and `line` where it stands in a log. */
export interface IncidentEvidence {
  readonly text: string;
  readonly source: string;
  readonly file: string | null;
  readonly line: number | null;
}

export interface CheckpointName {
  readonly id: string;
  readonly step: number | null;
}

/** The folder's way back to a checkpoint. */
export interface IncidentRollback {
  readonly at: string;
  /** Null: no good one was left, training starts from the beginning. */
  readonly target: (CheckpointName & { readonly standing: string }) | null;
  readonly reason: string;
  readonly quarantined: readonly string[];
  /** Where the quarantined ones are now. */
  readonly quarantine: string | null;
}

/**
 * One failure of a run and all that was done about it: `incidents/001.json`. Times are ISO 8601; what is not known, or
 * not known yet, is null.
 */
export interface Incident {
  /** From 1, over all starts of the run. */
  readonly number: number;
  readonly run: string;
  readonly attempt: number;
  readonly at: string;
  /** From the attempt's launch to its end. */
  readonly afterSeconds: number | null;
  readonly step: number | null;
  /** The first step at which the training was seen to be unhealthy. */
  readonly badStep: number | null;
  readonly kind: FailureKind;
  /** One sentence. */
  readonly cause: string;
  /** 0 to 1. */
  readonly confidence: number | null;
  readonly evidence: readonly IncidentEvidence[];
  readonly exit: Exit;
  readonly signature: string | null;
  readonly fingerprint: string | null;
  /** Where it hung. */
  readonly stacks: StackSummary | null;
  readonly resumedFrom: CheckpointName | null;
  readonly code: CodeFacts | null;
  /** What the attempt was run from that the one before it was not, in words. */
  readonly codeChanged: string | null;
  readonly advice: string | null;
  /** `retry 1 of 3`, `gave up: …`; null while it is being judged. */
  readonly action: string | null;
  readonly rollbacks: readonly IncidentRollback[];
  readonly waitedFor: readonly string[];
  /** All of it, in order. */
  readonly done: readonly Deed[];
  /** The next attempt, and what it went on from. */
  readonly next: {
    readonly attempt: number;
    readonly at: string;
    readonly resumedFrom: CheckpointName | null;
  } | null;
  /** Steps that were done again because of it, and the training time they had taken; known once an attempt goes on. */
  readonly lost: { readonly steps: number; readonly seconds: number } | null;
  readonly outcome: IncidentOutcome;
  /** The folder of the attempt's logs. */
  readonly logs: string;
}

/** With the path of its text. */
export type FiledIncident = Incident & { readonly file: string };

/** Whether what was read is an incident, as far as it is worked with: people may have had their hands on its file. */
export function isIncident(value: object): value is Incident {
  const one: Partial<Record<keyof Incident, unknown>> = value;
  return (
    [one.run, one.at, one.kind, one.cause, one.logs].every((text) => typeof text === 'string') &&
    [one.evidence, one.rollbacks, one.waitedFor, one.done].every(Array.isArray) &&
    [one.outcome, one.next, one.lost, one.step, one.action].every((known) => known !== undefined) &&
    typeof one.attempt === 'number' &&
    typeof one.exit === 'object'
  );
}
