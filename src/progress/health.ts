import { formatCount } from '../util/text.js';
import type { ProgressDraft } from './fold.js';
import type { HealthFinding, Heartbeat, Progress } from './types.js';

/** Non-finite training losses in a row that are one too many. */
const mostBadLosses = 2;
/** Gradient norms likewise: fp16 loss scaling skips steps whose gradient overflowed (apex#318). */
const mostBadGradNorms = 20;
/** A loss above this many times the recent median is a spike… */
const spikeFactor = 5;
/** …once so many finite losses are known; so many are remembered. */
const fewestLosses = 20;
const mostLosses = 64;

/**
 * Judges the numbers of one heartbeat. Evaluation never counts, and where steps are known a step counts once, so that
 * several ranks that report the same bad step are not taken for two.
 */
export function checkHealth(next: ProgressDraft, before: Progress, heartbeat: Heartbeat): void {
  const { step, loss, gradNorm } = heartbeat;
  const leads = heartbeat.rank === undefined || heartbeat.rank === 0;
  // a step that was only recognised may be an epoch's batch
  const isSaid = heartbeat.format === undefined && before.format === undefined;
  if (
    isSaid &&
    leads &&
    before.led &&
    step !== undefined &&
    before.step !== undefined &&
    step < before.step
  ) {
    next.wentBack ??= {
      kind: 'step-went-back',
      step,
      reason: `the step went back from ${formatCount(before.step)} to ${formatCount(step)}`,
    };
  }
  if (next.phase === 'eval') return;
  const again = step !== undefined && step === before.step;
  if (loss !== undefined) {
    if (Number.isFinite(loss)) {
      checkSpike(next, before, loss);
      next.loss = loss;
      next.badLosses = 0;
      const recent = before.recentLosses.slice(1 - mostLosses);
      recent.push(loss);
      next.recentLosses = recent;
    } else if (!(again && before.badLosses > 0)) next.badLosses++;
  }
  if (gradNorm !== undefined) {
    if (Number.isFinite(gradNorm)) next.badGradNorms = 0;
    else if (!(again && before.badGradNorms > 0)) next.badGradNorms++;
  }
  noteBadRow(next, step ?? before.step, loss, gradNorm);
}

function noteBadRow(next: ProgressDraft, step: number | undefined, loss?: number, gradNorm?: number): void {
  if (next.unhealthy) return;
  if (next.badLosses === 0 && next.badGradNorms === 0) {
    // deleting what is not there costs as much, at every heartbeat
    if (next.firstBadStep !== undefined) delete next.firstBadStep;
    if (next.firstBadAt !== undefined) delete next.firstBadAt;
    return;
  }
  if (step !== undefined) next.firstBadStep ??= step;
  if (next.lastHeartbeatAt !== undefined) next.firstBadAt ??= next.lastHeartbeatAt;
  if (next.badLosses >= mostBadLosses) {
    next.unhealthy = finding(
      next,
      'non-finite-loss',
      `the training loss was ${String(loss)}`,
      next.badLosses,
    );
  } else if (next.badGradNorms >= mostBadGradNorms) {
    const what = `the gradient norm was ${String(gradNorm)}`;
    next.unhealthy = finding(next, 'non-finite-grad-norm', what, next.badGradNorms);
  }
}

function finding(
  { firstBadStep, firstBadAt }: ProgressDraft,
  kind: HealthFinding['kind'],
  what: string,
  inRow: number,
): HealthFinding {
  const reason = `${what}, not a number to train with, in ${formatCount(inRow)} heartbeats in a row`;
  const at = firstBadAt !== undefined && { at: firstBadAt };
  if (firstBadStep === undefined) return { kind, ...at, reason };
  return { kind, step: firstBadStep, ...at, reason: `${reason}, from step ${formatCount(firstBadStep)}` };
}

/** A row of high losses is one spike: a new one begins only after a loss that was none. */
function checkSpike(next: ProgressDraft, before: Progress, loss: number): void {
  const { recentLosses } = before;
  if (!isSpike(loss, recentLosses)) return;
  const last = recentLosses.at(-1);
  if (last !== undefined && isSpike(last, recentLosses)) return;
  const step = next.step;
  const times = (loss / median(recentLosses)).toFixed(1);
  next.spike = {
    kind: 'loss-spike',
    ...(step !== undefined && { step }),
    reason: `the training loss jumped to ${loss.toPrecision(4)}, ${times} times its recent median${
      step === undefined ? '' : `, at step ${formatCount(step)}`
    }`,
  };
}

function isSpike(loss: number, recent: readonly number[]): boolean {
  if (recent.length < fewestLosses) return false;
  let least = Infinity;
  for (const known of recent) if (known < least) least = known;
  // the median is never below the least: this spares nearly every heartbeat the sorting
  if (loss <= spikeFactor * least) return false;
  const middle = median(recent);
  return middle > 0 && loss > spikeFactor * middle;
}

const median = (losses: readonly number[]): number =>
  losses.toSorted((a, b) => a - b)[Math.floor(losses.length / 2)] ?? NaN;
