/// <reference types="node" preserve="true" />
/**
 * Recovery for programs that drive their workers, or their training loop, themselves.
 *
 * @packageDocumentation
 */
export type { RecoveryEventMap } from './recovery/announcer.js';
export { UnknownWorkerError } from './recovery/arguments.js';
export { DamagedCheckpointsError } from './recovery/json-checkpoints-known.js';
export type { RecoveryContext } from './recovery/context.js';
export type { RecoveryDecision, RecoveryFailure, RecoveryKind, RecoveryRule } from './recovery/decision.js';
export { RecoveryManager } from './recovery/manager.js';
export type {
  CheckpointsTable,
  Duration,
  RecoveryStatus,
  RecursiveRecoveryEvent,
  RecursiveTrainingRecoveryConfig,
  ResourceCheck,
} from './recovery/recursive-types.js';
export { RecursiveTrainingRecovery } from './recovery/recursive.js';
export type { RecoveryStrategies, RecoveryStrategy } from './recovery/strategies.js';
export type {
  Beat,
  BeatAnswer,
  RecoveryEvent,
  RecoveryManagerOptions,
  SavedCheckpoint,
  WorkerBeat,
  WorkerLimits,
  WorkerState,
  WorkerStatus,
} from './recovery/types.js';
export { classify } from './failure/classify.js';
export type { FindPattern } from './failure/rules.js';
export type { Autopsy, Evidence, Exit, Failure, FailureKind, HostFacts, LogTail } from './failure/types.js';
export type { FailureRule } from './policy/policy.js';
export { parseHeartbeats } from './progress/heartbeat.js';
export type { Heartbeat, HealthFinding, Phase } from './progress/types.js';
