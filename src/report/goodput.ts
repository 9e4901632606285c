import type { Ledger } from '../policy/state.js';

export interface Goodput {
  /** Effective training time ratio: kept time / wall time, 0 to 1; undefined where no step was ever reported. */
  readonly ettr?: number;
  readonly wallSeconds: number;
  readonly keptSeconds: number;
  readonly lostSteps: number;
}

/**
 * What of the run's wall time went into steps that were kept.
 * @param trainingMs time from first to last progress of the attempt under way, if one is
 */
export function goodput(ledger: Ledger, until: number, trainingMs = 0): Goodput {
  const { startedAt, trainedMs, lostMs, lostSteps } = ledger.tally;
  const wallMs = Math.max(0, until - startedAt);
  const keptMs = Math.max(0, trainedMs + trainingMs - lostMs);
  const known = wallMs > 0 && trainedMs + trainingMs > 0;
  return {
    ...(known && { ettr: Math.min(1, keptMs / wallMs) }),
    wallSeconds: wallMs / 1000,
    keptSeconds: keptMs / 1000,
    lostSteps,
  };
}
