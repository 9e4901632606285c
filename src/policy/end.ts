import { isPreemption, type StopSource } from './event.js';
import { exitCodeOf } from './exit-code.js';
import type { Ledger, Outcome } from './state.js';
import type { Step } from './step.js';

/** The run is over. */
export function end(
  ledger: Ledger,
  how: {
    readonly outcome: Outcome;
    readonly reason: string;
    readonly at: number;
    readonly exitCode?: number;
  },
): Step {
  const lastRecovery =
    how.outcome === 'failed'
      ? ('failed' as const)
      : how.outcome === 'completed' && ledger.totalFailures > 0
        ? ('success' as const)
        : ledger.lastRecovery;
  return {
    state: {
      name: 'ended',
      outcome: how.outcome,
      reason: how.reason,
      at: how.at,
      exitCode: how.exitCode ?? exitCodeOf(how.outcome, ledger.failures.at(-1)),
      ledger: { ...ledger, lastRecovery },
    },
    effects: [{ type: 'finish' }],
  };
}

const stopWords: Record<StopSource, string> = {
  interrupt: 'stopped by Ctrl-C (SIGINT)',
  terminate: 'stopped by SIGTERM',
  request: 'stopped on request',
  preemption: 'preempted; run it again and it goes on',
  warning: 'preempted; run it again and it goes on',
};

/** A stop was asked for while nothing runs. */
export function endedByRequest(ledger: Ledger, by: StopSource, at: number): Step {
  return end(ledger, {
    outcome: isPreemption(by) ? 'preempted' : 'stopped',
    reason: stopWords[by],
    at,
    exitCode: by === 'interrupt' ? 130 : isPreemption(by) ? 75 : 143,
  });
}
