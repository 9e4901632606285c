import type { FailureRecord, State } from '../policy/state.js';
import type { Happening } from '../supervisor/parts.js';
import { formatDuration } from '../util/duration.js';
import { maskText } from '../util/mask.js';
import { formatCount } from '../util/text.js';
import { summarizeRun } from './summary.js';

/** Whose happenings are told, for who reads them far from the run. */
export interface NotifyFacts {
  readonly run: string;
  readonly host: string;
  readonly runDir: string;
}

/** What is sent: webhooks of Slack, Mattermost and their kin show `text`. Keys are only ever added (docs/hooks.md). */
export interface Notification extends NotifyFacts {
  readonly schemaVersion: 1;
  readonly event: 'first-failure' | 'silence' | 'gave-up' | 'done';
  readonly text: string;
  /** ISO 8601. */
  readonly at: string;
  readonly attempt: number;
  readonly step?: number;
  readonly failure?: { readonly kind: string; readonly reason: string; readonly advice?: string };
}

/** What of a happening is worth waking somebody for; undefined: nothing. Pure; secrets are masked. */
export function notificationOf(facts: NotifyFacts, happening: Happening): Notification | undefined {
  const told = tell(facts.runDir, happening);
  if (!told) return undefined;
  const { event, after } = happening;
  const { failure } = told;
  return {
    schemaVersion: 1,
    event: told.event,
    text: maskText(`${facts.run} on ${facts.host}: ${told.text}`),
    ...facts,
    at: new Date(event.at).toISOString(),
    attempt: failure?.attempt ?? after.ledger.attempt,
    ...(failure?.step !== undefined && { step: failure.step }),
    ...(failure && {
      failure: {
        kind: failure.kind,
        reason: maskText(failure.reason),
        ...(failure.advice !== undefined && { advice: maskText(failure.advice) }),
      },
    }),
  };
}

interface Told {
  readonly event: Notification['event'];
  readonly text: string;
  readonly failure?: FailureRecord;
}

function tell(runDir: string, { event, before, after }: Happening): Told | undefined {
  if (event.type === 'silence-warning') {
    return { event: 'silence', text: `no progress for ${formatDuration(event.silentMs)}; ${event.basis}` };
  }
  const failure = after.ledger.failures.at(-1);
  if (after.name === 'ended') {
    if (before.name === 'ended') return undefined;
    const ending = [headOf(after), ...(after.outcome === 'failed' ? [after.reason] : [])];
    if (after.outcome === 'completed') return { event: 'done', text: ending.join('\n') };
    if (after.outcome !== 'failed') return undefined;
    if (failure) ending.push(failureText(failure));
    ending.push(`logs: ${runDir}`);
    return { event: 'gave-up', text: ending.join('\n'), ...(failure && { failure }) };
  }
  const isFirst = before.ledger.totalFailures === 0 && after.ledger.totalFailures > 0;
  if (!isFirst || !failure || isGivingUp(after)) return undefined;
  return { event: 'first-failure', text: `${failureText(failure)}\n${failure.action}`, failure };
}

/** `gave up after 3h 02m · 4 attempts`. */
const headOf = (state: Extract<State, { name: 'ended' }>): string => summarizeRun(state, '')[0]?.text ?? '';

function failureText({ attempt, step, kind, reason, advice }: FailureRecord): string {
  const at = step === undefined ? '' : ` at step ${formatCount(step)}`;
  const said = `attempt ${attempt} failed${at}: ${kind}: ${reason}`;
  return advice === undefined ? said : `${said}\n${advice}`;
}

/** What is told at the end need not be told before it. */
const isGivingUp = (state: State): boolean =>
  state.name === 'putting-back' || (state.name === 'rolling-back' && state.next.type === 'give-up');
