import { shortened } from './log-lines.js';
import { type Found, matchKernel } from './match.js';
import type { Failure, FailureKind, HostFacts } from './types.js';

const ofGpus = /\b(?:CUDA|cuda|NCCL|GPU|HIP|CU[A-Z]{2,8}_STATUS_|device-side)/;
/** What a GPU that fails looks like where nobody says a word. */
const unexplained: readonly FailureKind[] = ['killed', 'unknown'];

/**
 * What the kernel's log adds: it strengthens what the training said, and decides where a GPU's failure was told by a
 * program that knows less (`unspecified launch failure` of one that has fallen off the bus). A memory kill is the
 * exit's to tell.
 */
export const withKernel = (failure: Failure, host: HostFacts): Failure =>
  matchKernel(host).reduce(weigh, failure);

function weigh(failure: Failure, { signature, evidence }: Found): Failure {
  const { advice, id, kind } = signature;
  if (kind === 'host-memory') return failure;
  const aboutGpus = ofGpus.test(failure.reason);
  if (failure.kind === kind && (kind === 'storage' || aboutGpus)) {
    const confidence = Math.max(failure.confidence, 0.98);
    return { ...failure, evidence: [...failure.evidence, evidence], confidence };
  }
  const toldByLess =
    kind === 'gpu' && aboutGpus && (failure.kind === 'exception' || failure.kind === 'network');
  if (kind === 'storage' || !(toldByLess || unexplained.includes(failure.kind))) return failure;
  return {
    // no fingerprint: another process of the host may have met the same
    ...failure,
    kind,
    signature: id,
    reason: `${signature.explanation}: ${shortened(evidence.text)}`,
    ...(advice !== undefined && { advice }),
    evidence: [evidence, ...failure.evidence],
    confidence: 0.9,
  };
}
