import { shortened } from './log-lines.js';
import { matchKernel } from './match.js';
import type { Failure, FailureKind, HostFacts } from './types.js';

const ofGpus = /\b(?:CUDA|cuda|NCCL|GPU|HIP|CU[A-Z]{2,8}_STATUS_|device-side)/;
/** What a GPU that fails looks like to a program that knows nothing of GPUs. */
const unexplained: readonly FailureKind[] = ['killed', 'unknown'];

/**
 * What the kernel's log adds: it strengthens what the training said of a GPU, and decides where that is the same story
 * told by a program that knows less (`unspecified launch failure` of a GPU that has fallen off the bus).
 */
export function withKernel(failure: Failure, host: HostFacts): Failure {
  const found = matchKernel(host);
  if (!found || found.signature.kind === 'host-memory') return failure;
  const { signature, evidence } = found;
  const all = [...failure.evidence, evidence];
  if (failure.kind === signature.kind && ofGpus.test(failure.reason)) {
    return { ...failure, evidence: all, confidence: Math.max(failure.confidence, 0.98) };
  }
  const sameStory =
    unexplained.includes(failure.kind) ||
    ((failure.kind === 'exception' || failure.kind === 'network') &&
      signature.kind === 'gpu' &&
      ofGpus.test(failure.reason));
  if (!sameStory) return failure;
  const { advice, id, kind } = signature;
  return {
    ...failure,
    kind,
    fingerprint: failure.fingerprint ?? id,
    signature: id,
    reason: `${signature.explanation}: ${shortened(evidence.text)}`,
    ...(advice !== undefined && { advice }),
    evidence: [evidence, ...failure.evidence],
    confidence: 0.9,
  };
}
