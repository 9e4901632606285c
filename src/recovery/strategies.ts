import type { RecoveryContext } from './context.js';
import type { RecoveryFailure, RecoveryKind, RecoveryRule } from './decision.js';

/** What is done about a failure instead of the usual; what is left out stays as it is. */
export interface RecoveryStrategy extends Partial<RecoveryRule> {
  /**
   * Called before the retry, after the rollback and the wait: halves a batch size, frees a cache. What it throws is the
   * next failure.
   */
  readonly prepare?: (context: RecoveryContext, failure: RecoveryFailure) => unknown;
}

/** By kind of failure, or a function that is asked about each; what it throws is told, and the usual is done. */
export type RecoveryStrategies =
  | Readonly<Partial<Record<RecoveryKind, RecoveryStrategy>>>
  | ((
      failure: RecoveryFailure,
      context: RecoveryContext,
    ) => RecoveryStrategy | undefined | Promise<RecoveryStrategy | undefined>);

const retried: RecoveryRule = { retry: true, rollback: true };
const never: RecoveryRule = { retry: false, rollback: false };

/**
 * What is done about each kind of failure unless the caller says otherwise: what the command does. A rollback where
 * nothing is damaged moves nothing, it finds out what can be resumed from.
 */
export const recoveryRules: Readonly<Record<RecoveryKind, RecoveryRule>> = {
  // nothing but a person changes these
  command: never,
  config: never,
  code: never,
  'not-resumed': never,
  stopped: never,
  exception: retried,
  // past the step at which it went bad
  numeric: retried,
  convergence: retried,
  'gpu-memory': retried,
  'host-memory': retried,
  gpu: retried,
  network: retried,
  // what was being written is torn
  storage: retried,
  checkpoint: retried,
  hang: retried,
  preempted: retried,
  killed: retried,
  unknown: retried,
};

/** Every kind of failure that a strategy may be given for. */
export const recoveryKinds = Object.keys(recoveryRules) as readonly RecoveryKind[];

/** Kinds that may come from what was resumed from: coming back, they are cured by an older checkpoint at most. */
export const isOfTheState = (kind: RecoveryKind): boolean => isPoisonous(kind) || kind === 'checkpoint';

/** Kinds after which what was saved from the failure's step on is not trusted. */
export const isPoisonous = (kind: RecoveryKind): boolean => kind === 'numeric' || kind === 'convergence';
