import type { Exit } from '../failure/types.js';
import type { FailureRecord, Outcome } from './state.js';

/** Exit statuses of `run` (DESIGN section 9). */
const giveUpOnHang = 124;
const tryAgain = 75;

/** What `trainguard run` exits with: the training's own code where it gave up, never 0 for a failure. */
export function exitCodeOf(outcome: Outcome, failure: FailureRecord | undefined): number {
  switch (outcome) {
    case 'completed':
      return 0;
    case 'preempted':
      return tryAgain;
    case 'stopped':
      return 143;
    case 'failed':
      if (!failure) return 1;
      if (failure.kind === 'hang') return giveUpOnHang;
      // the signal that ended a training gone bad was ours; 143 would say that a person stopped it
      if (isStoppedByUs(failure) && failure.exit.type === 'signal') return 1;
      return trainingCode(failure.exit) || 1;
  }
}

const isStoppedByUs = ({ kind, missed }: FailureRecord): boolean =>
  kind === 'numeric' || missed !== undefined;

function trainingCode(exit: Exit): number {
  switch (exit.type) {
    case 'code':
      return exit.code;
    case 'signal':
      return 128 + exit.number;
    case 'not-started':
      return exit.code === 'ENOENT' ? 127 : 126;
    case 'unknown':
      return 1;
  }
}
