import { unreachable } from '../util/unreachable.js';
import { afterInspection, afterInspectionFailed } from './after-inspection.js';
import { afterExit, lookAfter } from './after-exit.js';
import { endedByRequest } from './end.js';
import type { Event } from './event.js';
import {
  bootedAt,
  newLedger,
  nextAttempt,
  noteCheckpoints,
  noteFirstProgress,
  startAfresh,
} from './ledger.js';
import { giveUp, launch, noteDeeper, rolledBack, rollbackFailed, undone } from './next.js';
import { noteCode } from './code.js';
import type { Policy } from './policy.js';
import type { Ledger, State, StopCause } from './state.js';
import type { Step } from './step.js';
import { adoptAgain, beginStop, hurryStop, stopInspecting, watchWorker } from './stop.js';

/** A run that has not been started. */
export const initialState = (): State => ({ name: 'idle', ledger: newLedger() });

/** Nothing changes. Said for every pair of state and event that cannot matter, such as what comes too late. */
const stay = (state: State): Step => ({ state, effects: [] });

/**
 * The only place that decides. Pure and total: the same policy, state and event always give the same next state and
 * the same effects, live, replayed from a journal, or in virtual time.
 */
export function transition(policy: Policy, state: State, event: Event): Step {
  switch (event.type) {
    case 'started':
      return onStarted(policy, state, event);
    case 'inspected':
      return state.name === 'inspecting' ? afterInspection(policy, state, event) : stay(state);
    case 'inspection-failed':
      return state.name === 'inspecting' ? afterInspectionFailed(policy, state, event) : stay(state);
    case 'rolled-back':
      return state.name === 'rolling-back' ? rolledBack(state, event) : stay(state);
    case 'rollback-failed':
      return state.name === 'rolling-back' ? rollbackFailed(policy, state, event) : stay(state);
    case 'undone':
      return state.name === 'putting-back' ? undone(state, event) : stay(state);
    case 'code-noted':
      return noteCode(state, event);
    case 'backoff-elapsed':
      if (state.name !== 'backing-off') return stay(state);
      return {
        state: { name: 'inspecting', after: 'backoff', ledger: state.ledger },
        effects: [{ type: 'inspect' }],
      };
    case 'host-ready':
      return state.name === 'waiting'
        ? launch(withEnv(state.ledger, event), state.resume, event)
        : stay(state);
    case 'host-not-ready':
      return onHostNotReady(policy, state, event);
    case 'launched':
    case 'adopted':
      return onLaunched(policy, state, event);
    case 'launch-abandoned':
      return onLaunchAbandoned(state, event);
    case 'progressed':
      if (state.name !== 'running') return stay(state);
      return stay(goesOn({ ...state, ledger: noteFirstProgress(state.ledger, event.summary, state.resume) }));
    case 'checkpoint-verified':
      if (state.name !== 'running' && state.name !== 'stopping') return stay(state);
      // what is saved from a training that has gone bad is not getting further
      if (state.name === 'stopping' && isBad(state.cause)) return stay(state);
      return onCheckpoint(policy, state, event);
    case 'unhealthy':
    case 'silence-warning':
    case 'deadline':
    case 'stuck':
      return watchWorker(policy, state, event);
    case 'exited':
      return state.name === 'starting' || state.name === 'running' || state.name === 'stopping'
        ? afterExit(policy, state, event)
        : stay(state);
    case 'stop-requested':
      return onStopRequested(policy, state, event);
    case 'stop-forced':
      return hurryStop(state, event);
    default:
      return unreachable(event);
  }
}

const isBad = ({ type }: StopCause): boolean => type === 'unhealthy' || type === 'not-resumed';

/** Progress ends what was warned of. */
function goesOn({ warning: _over, ...running }: Extract<State, { name: 'running' }>): State {
  return running;
}

/** Folds a journal: the state a run was in after its last event. */
export function replay(policy: Policy, events: readonly Event[], from: State = initialState()): State {
  return events.reduce((state, event) => transition(policy, state, event).state, from);
}

function onStarted(policy: Policy, state: State, event: Extract<Event, { type: 'started' }>): Step {
  const inspect = (ledger: State['ledger'], after: 'start' | 'backoff'): Step => ({
    state: { name: 'inspecting', after, ledger: bootedAt(ledger, event) },
    effects: [{ type: 'inspect' }],
  });
  switch (state.name) {
    case 'idle':
      return inspect(startAfresh(state.ledger, event.at), 'start');
    case 'ended': {
      // preempted is not an end: it goes on, free
      if (state.outcome === 'preempted')
        return inspect({ ...state.ledger, attempt: nextAttempt(state.ledger) }, 'start');
      const fresh = startAfresh(state.ledger, event.at);
      if (event.otherFolder === true) {
        const { deeper: _elsewhere, ...here } = fresh;
        return inspect({ ...here, everVerified: false }, 'start');
      }
      return inspect(state.outcome === 'completed' ? { ...fresh, mayBeginAnew: true } : fresh, 'start');
    }
    case 'inspecting':
      if (state.after === 'failure' || state.after === 'success') {
        return {
          state: { ...state, ledger: bootedAt(state.ledger, event) },
          effects: [state.after === 'failure' ? lookAfter(state.failure) : { type: 'inspect' }],
        };
      }
      return inspect(state.ledger, state.after);
    case 'rolling-back':
      // whoever is there now finishes it
      return inspect(noteDeeper(state, event.at), 'backoff');
    case 'backing-off':
    case 'waiting':
      return inspect(state.ledger, 'backoff');
    case 'putting-back':
      return {
        state: { ...state, ledger: bootedAt(state.ledger, event) },
        effects: [{ type: 'undo', ...state.order }],
      };
    case 'starting':
    case 'running':
    case 'stopping':
      return adoptAgain(policy, { ...state, ledger: bootedAt(state.ledger, event) }, event);
    default:
      return unreachable(state);
  }
}

function onLaunched(
  policy: Policy,
  state: State,
  event: Extract<Event, { type: 'launched' | 'adopted' }>,
): Step {
  if (state.name !== 'starting') return stay(state);
  const { ledger, resume, stop, forced, stopAtCheckpoint } = state;
  const running: State = {
    name: 'running',
    pid: event.pid,
    since: { at: event.at, mono: event.mono },
    ledger,
    ...(resume && { resume }),
    ...(stopAtCheckpoint && { stopAtCheckpoint }),
  };
  if (stop === undefined) return stay(running);
  const stopping = beginStop(policy, running, stop, event);
  if (!forced) return stopping;
  const killing = hurryStop(stopping.state, event);
  return { state: killing.state, effects: [...stopping.effects, ...killing.effects] };
}

/** What was decided long ago is decided anew: the folder is looked at first. */
function onLaunchAbandoned(state: State, event: Extract<Event, { type: 'launch-abandoned' }>): Step {
  if (state.name !== 'starting') return stay(state);
  const { launched } = state.ledger;
  const ledger = { ...state.ledger, launched: launched - 1, attempt: nextAttempt(state.ledger) };
  const stop = state.stop ?? (state.stopAtCheckpoint && 'request');
  if (stop !== undefined) return endedByRequest(ledger, stop, event.at);
  return { state: { name: 'inspecting', after: 'backoff', ledger }, effects: [{ type: 'inspect' }] };
}

function onCheckpoint(
  policy: Policy,
  state: Extract<State, { name: 'running' | 'stopping' }>,
  event: Extract<Event, { type: 'checkpoint-verified' }>,
): Step {
  const noted = { ...state, ledger: noteCheckpoints(state.ledger, [event.checkpoint]) };
  const waitedFor = noted.name === 'running' && noted.stopAtCheckpoint === true && event.fresh === true;
  return waitedFor ? beginStop(policy, noted, 'request', event) : stay(noted);
}

const withEnv = (ledger: Ledger, { env }: Extract<Event, { type: 'host-ready' }>): Ledger =>
  env ? { ...ledger, env: { ...ledger.env, ...env } } : ledger;

function onHostNotReady(
  policy: Policy,
  state: State,
  event: Extract<Event, { type: 'host-not-ready' }>,
): Step {
  if (state.name !== 'waiting') return stay(state);
  if (event.permanent) return giveUp(state.ledger, event.waitingFor, event);
  const waited = event.mono - state.since.mono;
  if (waited < policy.outageWindowMs) return stay({ ...state, waitingFor: event.waitingFor });
  return giveUp(state.ledger, `waited in vain for ${event.waitingFor}`, event);
}

function onStopRequested(
  policy: Policy,
  state: State,
  event: Extract<Event, { type: 'stop-requested' }>,
): Step {
  switch (state.name) {
    case 'ended':
      return stay(state);
    case 'putting-back':
      // it ends as soon as the folder is as it was
      return stay(state);
    case 'inspecting':
      return stopInspecting(state, event.by, event);
    case 'idle':
    case 'backing-off':
    case 'waiting':
      return endedByRequest(state.ledger, event.by, event.at);
    case 'rolling-back':
    case 'starting':
      // a transaction is finished first; a launch cannot be called back, so it is stopped as soon as it is there
      // the first word counts, but a warning only says that another one follows
      if (state.stop !== undefined && state.stop !== 'warning') return stay(state);
      if (state.name === 'starting' && event.atCheckpoint) return stay({ ...state, stopAtCheckpoint: true });
      return stay({ ...state, stop: event.by });
    case 'running':
      if (event.atCheckpoint) return stay({ ...state, stopAtCheckpoint: true });
      return beginStop(policy, state, event.by, event);
    case 'stopping':
      return beginStop(policy, state, event.by, event);
    default:
      return unreachable(state);
  }
}
