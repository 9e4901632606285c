import type { Instant } from '../progress/types.js';
import { formatDuration } from '../util/duration.js';
import { unreachable } from '../util/unreachable.js';
import { end, endedByRequest } from './end.js';
import { type Event, isPreemption, type StopSource } from './event.js';
import { noteFailure, notePoison, noteRestartingSteps } from './ledger.js';
import type { Policy } from './policy.js';
import type { Ledger, State, StopCause } from './state.js';
import type { Step } from './step.js';

type Running = Extract<State, { name: 'running' }>;
type Stopping = Extract<State, { name: 'stopping' }>;

/** A stop was asked for while the worker is at work, or already being stopped for a reason of ours. */
export function beginStop(policy: Policy, state: Running | Stopping, by: StopSource, now: Instant): Step {
  const cause: StopCause = isPreemption(by)
    ? { type: 'preempted', warned: by === 'warning' }
    : { type: 'person', by };
  if (state.name === 'running') return stopWorker(policy, state, cause, now);
  const { type } = state.cause;
  if (type === 'preempted' && state.cause.warned && by !== 'warning') {
    // the time that the warning left is over
    const { state: next, effects } = stopWorker(policy, state, cause, now);
    return { state: { ...next, since: state.since, forced: state.forced }, effects };
  }
  // whatever we stopped it for, the person's word decides what comes after
  const decided = type === 'person' || type === 'preempted';
  return { state: decided ? state : { ...state, cause }, effects: [] };
}

/** The second signal: no more grace. */
export function hurryStop(state: State, now: Instant): Step {
  if (state.name === 'starting' && state.stop !== undefined) {
    return { state: { ...state, forced: true }, effects: [] };
  }
  // the training is done; only the look at its last checkpoint is given up
  if (state.name === 'inspecting' && state.after === 'success') {
    return end(state.ledger, { outcome: 'completed', reason: 'completed', at: now.at });
  }
  if (state.name !== 'stopping' || state.forced) return { state, effects: [] };
  return { state: { ...state, forced: true }, effects: [{ type: 'kill-worker' }] };
}

/**
 * An earlier supervisor left an attempt under way. What it was asked to do by a person ended with it: whoever runs the
 * run again wants it to go on. What it had found out about the worker still holds.
 */
export function adoptAgain(
  policy: Policy,
  state: Extract<State, { name: 'starting' | 'running' | 'stopping' }>,
  now: Instant,
): Step {
  const adopt = { type: 'adopt', attempt: state.ledger.attempt } as const;
  const { ledger, resume } = state;
  const common = { ledger, ...(resume && { resume }) };
  if (state.name === 'starting') {
    return { state: { ...common, name: 'starting', since: state.since }, effects: [adopt] };
  }
  const { pid, stuck } = state;
  const since = { at: now.at, mono: now.mono };
  const running: Running = { ...common, name: 'running', pid, since, ...(stuck && { stuck }) };
  if (state.name === 'running') {
    const { warning, since: from, stopBegun } = state;
    const kept = { ...(warning !== undefined && { warning }), ...(stopBegun && { stopBegun }) };
    return { state: { ...running, ...kept, since: from }, effects: [adopt] };
  }
  const { cause, forced } = state;
  if (cause.type === 'person' || cause.type === 'preempted') {
    return { state: { ...running, stopBegun: true }, effects: [adopt] };
  }
  const stopping = stopWorker(policy, running, cause, now);
  const hurry = forced && !stopping.state.forced ? [{ type: 'kill-worker' as const }] : [];
  return { state: { ...stopping.state, forced }, effects: [adopt, ...stopping.effects, ...hurry] };
}

/** A stop was asked for while the checkpoint folder is looked at, and no worker lives. */
export function stopInspecting(
  state: Extract<State, { name: 'inspecting' }>,
  by: StopSource,
  now: Instant,
): Step {
  switch (state.after) {
    case 'start':
    case 'backoff':
      return endedByRequest(state.ledger, by, now.at);
    case 'failure': {
      const failure = { ...state.failure, action: 'stopped before a retry' };
      return endedByRequest(notePoison(noteFailure(state.ledger, failure, now), failure), by, now.at);
    }
    case 'success':
      // it had ended by itself before anybody asked
      return { state, effects: [] };
  }
}

/** What is seen of a worker from outside: its health, its silence, its refusal to die. */
export function watchWorker(
  policy: Policy,
  state: State,
  event: Extract<Event, { type: 'unhealthy' | 'silence-warning' | 'deadline' | 'stuck' }>,
): Step {
  if (event.type === 'stuck' && state.name === 'stopping') {
    return { state: { ...state, stuck: { pid: event.pid, wchan: event.wchan } }, effects: [] };
  }
  if (state.name !== 'running') return { state, effects: [] };
  switch (event.type) {
    case 'unhealthy': {
      const { finding } = event;
      if (finding.kind === 'not-resumed' && state.resume && policy.health.notResumed !== 'warn')
        return stopWorker(policy, state, { type: 'not-resumed', finding, from: state.resume }, event);
      const counted = finding.kind === 'step-went-back' ? noteRestartingSteps(state.ledger) : state.ledger;
      const wish = finding.kind === 'loss-spike' ? policy.health.spike : policy.health.nonFinite;
      const isBad = finding.kind !== 'step-went-back' && finding.kind !== 'not-resumed';
      if (isBad && wish === 'rollback')
        return stopWorker(policy, state, { type: 'unhealthy', finding }, event);
      return { state: { ...state, ledger: counted, warning: finding.reason }, effects: [] };
    }
    case 'silence-warning':
      return {
        state: { ...state, warning: `no progress for ${formatDuration(event.silentMs)} (${event.basis})` },
        effects: [{ type: 'dump-stacks' }],
      };
    case 'deadline': {
      const { which, silentMs, basis } = event;
      return stopWorker(policy, state, { type: 'hang', which, silentMs, basis }, event);
    }
    case 'stuck':
      return { state: { ...state, stuck: { pid: event.pid, wchan: event.wchan } }, effects: [] };
    default:
      return unreachable(event);
  }
}

/** How long a worker gets to end. A save must not be cut: never less than twice the longest one seen. */
export const graceOf = (policy: Policy, { timing }: Ledger): number =>
  Math.max(policy.stop.graceMs, 2 * (timing.longestPhaseMs.checkpoint ?? 0));

function stopWorker(
  policy: Policy,
  state: Running | Stopping,
  cause: StopCause,
  now: Instant,
): Step & { readonly state: Stopping } {
  const { ledger, pid, resume, stuck, stopAtCheckpoint } = state;
  const interrupt = cause.type === 'person' && cause.by === 'interrupt';
  // a script that saves when it is asked to stop would save its new beginning over the old training
  const atOnce = cause.type === 'not-resumed';
  return {
    state: {
      name: 'stopping',
      pid,
      since: { at: now.at, mono: now.mono },
      cause,
      forced: atOnce,
      ledger,
      ...(resume && { resume }),
      ...(stuck && { stuck }),
      ...(stopAtCheckpoint && { stopAtCheckpoint }),
    },
    effects: [
      atOnce
        ? { type: 'kill-worker' }
        : {
            type: 'stop-worker',
            signal: interrupt ? 'SIGINT' : policy.stop.signal,
            graceMs: graceOf(policy, ledger),
            dumpStacks: cause.type === 'hang',
            preempted: cause.type === 'preempted' && cause.warned,
          },
    ],
  };
}
