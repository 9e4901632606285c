import path from 'node:path';
import type { CheckpointFact } from '../policy/checkpoint.js';
import type { Effect } from '../policy/effect.js';
import type { State } from '../policy/state.js';
import type { Happening } from '../supervisor/parts.js';
import { formatDuration } from '../util/duration.js';
import { formatCount, plural } from '../util/text.js';
import type { Deed, Incident, IncidentRollback } from './incident.js';

/** What a happening did about an incident, in words. Pure. */
export function deedsOf(incident: Incident, happening: Happening): readonly Deed[] {
  const { event, before, after } = happening;
  const deeds: Deed[] = [];
  const say = (type: Deed['type'], text: string): void => {
    deeds.push({ at: new Date(event.at).toISOString(), type, text });
  };
  if (incident.next !== null) {
    if (incident.outcome === 'recovered' && !incident.done.some(({ type }) => type === 'progressed'))
      say('progressed', wentOn(incident, before));
    return deeds;
  }
  if (event.type === 'exited' && before.name === 'stopping') say('stopped', stopWords(before.cause));
  if (event.type === 'started' && before.name !== 'ended' && before.name !== 'idle')
    say('note', 'the supervisor was gone; another one goes on with it');
  if (
    incident.action !== null &&
    !incident.done.some(({ type, text }) => type === 'decided' && text === incident.action)
  )
    say('decided', incident.action);
  for (const effect of happening.effects) sayEffect(effect, say);
  switch (event.type) {
    case 'rolled-back':
      if (before.name === 'rolling-back') say('rolled-back', rollbackWords(before, event.quarantined));
      break;
    case 'rollback-failed':
      say('trouble', `the rollback failed: ${event.reason}`);
      break;
    case 'inspection-failed':
      say('trouble', `the checkpoint folder could not be read: ${event.reason}`);
      break;
    case 'undone':
      say('put-back', event.left === undefined ? 'what rollbacks had moved away was put back' : event.left);
      break;
    case 'host-not-ready':
      if (before.name === 'waiting') say('waited', `waiting for ${event.waitingFor}`);
      break;
    case 'host-ready':
      if (before.name === 'waiting' && before.waitingFor !== undefined)
        say('waited', `it was there after ${formatDuration(event.mono - before.since.mono)}`);
      break;
    case 'launched':
    case 'adopted':
      if (before.name === 'starting' && before.ledger.attempt > incident.attempt)
        say('launched', `attempt ${before.ledger.attempt} was launched; ${resumeWords(before.resume)}`);
      break;
    default:
      break;
  }
  if (after.name === 'backing-off' && before.name !== 'backing-off')
    say('waited', `waiting ${formatDuration(after.delayMs)} before attempt ${after.ledger.attempt}`);
  if (after.name === 'ended' && before.name !== 'ended' && after.reason !== incident.action)
    say('ended', `the run ended: ${after.reason}`);
  return deeds;
}

/** The rollback that a happening completed, if it did. */
export function rollbackOf(
  { event, before }: Happening,
  vault: string | undefined,
): IncidentRollback | undefined {
  if (event.type !== 'rolled-back' || before.name !== 'rolling-back') return undefined;
  const { target, reason } = before;
  const moved = event.quarantined.length > 0 && vault !== undefined && event.tx !== undefined;
  return {
    at: new Date(event.at).toISOString(),
    target: target
      ? { id: placeName(target), step: target.step ?? target.number ?? null, standing: target.standing }
      : null,
    reason,
    quarantined: event.quarantined,
    quarantine: moved ? path.join(vault, 'quarantine', event.tx) : null,
  };
}

function sayEffect(effect: Effect, say: (type: Deed['type'], text: string) => void): void {
  if (effect.type === 'mark') say('marked', `${effect.id} is marked ${effect.standing}: ${effect.why}`);
  if (effect.type === 'tell') say('note', effect.text);
}

type StopCause = Extract<State, { name: 'stopping' }>['cause'];

function stopWords(cause: StopCause): string {
  switch (cause.type) {
    case 'hang':
      return 'trainguard stopped it: it made no progress';
    case 'unhealthy':
      return 'trainguard stopped it: the training had gone bad';
    case 'not-resumed':
      return 'trainguard killed it before it could save over the old training';
    case 'person':
    case 'preempted':
      return 'it ended while it was being stopped';
  }
}

function rollbackWords(
  { target, reason }: Extract<State, { name: 'rolling-back' }>,
  quarantined: readonly string[],
): string {
  const to = target
    ? `rolled back to ${placeName(target)}${atStep(target.step ?? target.number)} (${target.standing})`
    : 'no good checkpoint is left: training starts from the beginning';
  const moved =
    quarantined.length === 0 ? 'nothing had to be moved' : `moved away: ${quarantined.join(', ')}`;
  return `${to}; ${reason}; ${moved}`;
}

const resumeWords = (from: CheckpointFact | undefined): string =>
  from
    ? `it resumes from ${placeName(from)}${atStep(from.step ?? from.number)}`
    : 'it was given no checkpoint to resume from';

function wentOn({ lost }: Incident, { ledger }: State): string {
  const head = `attempt ${ledger.attempt} made progress`;
  if (!lost) return `${head}; what was done again is not known, as no steps were reported`;
  if (lost.steps === 0) return `${head}; no step had to be done again`;
  return `${head}; ${plural(lost.steps, 'step')} done again (${formatDuration(lost.seconds * 1000)} of training)`;
}

/** As it is called in the checkpoint folder. */
const placeName = ({ id, path: place, spare }: CheckpointFact): string => (spare ? path.basename(place) : id);

const atStep = (step: number | undefined): string =>
  step === undefined ? '' : ` at step ${formatCount(step)}`;
