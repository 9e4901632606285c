import type { State } from '../policy/state.js';
import { formatDuration } from '../util/duration.js';
import { formatCount, plural } from '../util/text.js';
import { goodput } from './goodput.js';
import type { Line } from './narrate.js';

/**
 * The last lines of `run`: how it ended, attempts, each failure and what was done, steps lost, goodput, where the logs are.
 * @param logs the run's folder
 * @param incidentOf where all about the failure of an attempt is told
 */
export function summarizeRun(
  state: Extract<State, { name: 'ended' }>,
  logs: string,
  incidentOf: (attempt: number) => string | undefined = () => undefined,
): readonly Line[] {
  const { ledger } = state;
  const { ettr, wallSeconds, lostSteps } = goodput(ledger, state.at);
  const parts = [
    `${headline(state)} ${state.outcome === 'completed' ? 'in' : 'after'} ${formatDuration(wallSeconds * 1000)}`,
    plural(ledger.launched, 'attempt'),
    ...(lostSteps > 0 ? [`${plural(lostSteps, 'step')} repeated`] : []),
    ...(ettr === undefined ? [] : [`goodput ${(ettr * 100).toFixed(1)} %`]),
  ];
  const lines: Line[] = [{ tone: state.outcome === 'failed' ? 'failure' : 'done', text: parts.join(' · ') }];
  for (const failure of ledger.failures) {
    const step = failure.step === undefined ? '' : ` at step ${formatCount(failure.step)}`;
    const to = failure.rolledBackTo;
    const where =
      to === undefined ? '' : ` → ${to.step === undefined ? to.id : `step ${formatCount(to.step)}`}`;
    lines.push({
      tone: 'detail',
      text: `${failure.attempt}  ${failure.kind}${step}${where}: ${failure.action}`,
    });
    const incident = incidentOf(failure.attempt);
    if (incident !== undefined) lines.push({ tone: 'detail', text: `   ${incident}` });
  }
  if (state.outcome !== 'completed' && state.reason !== ledger.failures.at(-1)?.action) {
    lines.push({ tone: 'detail', text: state.reason });
  }
  const what = ledger.failures.length > 0 ? 'logs and incidents' : 'logs';
  lines.push({ tone: 'detail', text: `${what}: ${logs}` });
  return lines;
}

function headline(state: Extract<State, { name: 'ended' }>): string {
  const { totalFailures } = state.ledger;
  switch (state.outcome) {
    case 'completed':
      return totalFailures === 0 ? 'completed' : `completed through ${plural(totalFailures, 'failure')}`;
    case 'failed':
      return 'gave up';
    case 'stopped':
      return 'stopped';
    case 'preempted':
      return 'preempted';
  }
}
