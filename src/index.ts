/**
 * The pure parts of trainguard, for programs that read training output themselves.
 *
 * @packageDocumentation
 */
export { classify } from './failure/classify.js';
export type { Autopsy, Evidence, Exit, Failure, FailureKind, HostFacts, LogTail } from './failure/types.js';
export type { FailureRule } from './policy/policy.js';
export { parseHeartbeats } from './progress/heartbeat.js';
export type { Heartbeat, HealthFinding, Phase } from './progress/types.js';
