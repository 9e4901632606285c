import type { Event, EventType } from '../../src/policy/event.js';
import { newLedger } from '../../src/policy/ledger.js';
import type { FailureRecord, Ledger, Outcome, State, StateName, StopCause } from '../../src/policy/state.js';
import { code, exception, saved, steps } from './kit.js';

type Of<N extends StateName> = Extract<State, { name: N }>;

/** Every state, and every variant of it that decides differently. */
export type Variant =
  | Exclude<StateName, 'inspecting' | 'stopping' | 'ended'>
  | `inspecting/${Of<'inspecting'>['after']}`
  | 'rolling-back/stop'
  | 'starting/stop'
  | 'starting/stop forced'
  | 'starting/stop at checkpoint'
  | 'running/stop at checkpoint'
  | 'running/stop begun'
  | `stopping/${StopCause['type']}`
  | 'stopping/person forced'
  | 'stopping/preempted warned'
  | `ended/${Outcome}`;

export function variantOf(state: State): Variant {
  switch (state.name) {
    case 'inspecting':
      return `inspecting/${state.after}`;
    case 'rolling-back':
      return state.stop === undefined ? 'rolling-back' : 'rolling-back/stop';
    case 'starting':
      if (state.stop === undefined)
        return state.stopAtCheckpoint ? 'starting/stop at checkpoint' : 'starting';
      return state.forced ? 'starting/stop forced' : 'starting/stop';
    case 'stopping':
      if (state.cause.type === 'preempted' && state.cause.warned) return 'stopping/preempted warned';
      return state.forced && state.cause.type === 'person'
        ? 'stopping/person forced'
        : `stopping/${state.cause.type}`;
    case 'ended':
      return `ended/${state.outcome}`;
    case 'idle':
    case 'backing-off':
    case 'waiting':
    case 'putting-back':
      return state.name;
    case 'running':
      if (state.stopBegun) return 'running/stop begun';
      return state.stopAtCheckpoint ? 'running/stop at checkpoint' : 'running';
  }
}

const now = { at: 1_700_000_000_000, mono: 5_000_000 };
const since = { at: now.at - 60_000, mono: now.mono - 60_000 };

const crash: FailureRecord = {
  attempt: 0,
  at: since.at,
  kind: 'exception',
  reason: 'it was exception',
  evidence: [],
  exit: code(1),
  action: '',
  quarantined: [],
};

/** Attempt 0 was launched. */
const first: Ledger = { ...newLedger(), bootId: 'boot-1', launched: 1, lastLaunched: 0 };
/** It failed, attempt 1 comes next. */
const failed: Ledger = {
  ...first,
  attempt: 1,
  retriesUsed: 1,
  totalRetries: 1,
  totalFailures: 1,
  backoffs: 1,
  failures: [{ ...crash, action: 'retry 1 of 3' }],
};
const alive = { since, resume: saved(40) };
const stopping = (cause: StopCause): State => ({
  ...alive,
  name: 'stopping',
  pid: 7,
  cause,
  forced: false,
  ledger: first,
});
const ended = (outcome: Outcome): State => ({
  name: 'ended',
  outcome,
  exitCode: 0,
  reason: '',
  at: now.at,
  ledger: first,
});
const rollingBack: State = {
  name: 'rolling-back',
  next: { type: 'back-off', delayMs: 10_000 },
  target: saved(40),
  reason: 'checkpoint-60 is corrupt',
  ledger: failed,
};
const person: StopCause = { type: 'person', by: 'interrupt' };

export const states: Record<Variant, State> = {
  idle: { name: 'idle', ledger: newLedger() },
  'inspecting/start': { name: 'inspecting', after: 'start', ledger: newLedger() },
  'inspecting/backoff': { name: 'inspecting', after: 'backoff', ledger: failed },
  'inspecting/failure': { name: 'inspecting', after: 'failure', failure: crash, ledger: first },
  'inspecting/success': { name: 'inspecting', after: 'success', ledger: first },
  'rolling-back': rollingBack,
  'rolling-back/stop': { ...rollingBack, stop: 'request' },
  'putting-back': {
    name: 'putting-back',
    why: 'enough',
    order: { transactions: [{ tx: 'tx-1' }] },
    ledger: failed,
  },
  'backing-off': { name: 'backing-off', delayMs: 10_000, until: now, ledger: failed },
  waiting: { name: 'waiting', since, ledger: failed },
  starting: { ...alive, name: 'starting', ledger: first },
  'starting/stop': { ...alive, name: 'starting', stop: 'terminate', ledger: first },
  'starting/stop forced': { ...alive, name: 'starting', stop: 'terminate', forced: true, ledger: first },
  'starting/stop at checkpoint': { ...alive, name: 'starting', stopAtCheckpoint: true, ledger: first },
  running: { ...alive, name: 'running', pid: 7, ledger: first },
  'running/stop begun': { ...alive, since: now, name: 'running', pid: 7, stopBegun: true, ledger: first },
  'running/stop at checkpoint': { ...alive, name: 'running', pid: 7, stopAtCheckpoint: true, ledger: first },
  'stopping/person': stopping(person),
  'stopping/person forced': {
    ...alive,
    name: 'stopping',
    pid: 7,
    cause: person,
    forced: true,
    ledger: first,
  },
  'stopping/preempted': stopping({ type: 'preempted', warned: false }),
  'stopping/preempted warned': stopping({ type: 'preempted', warned: true }),
  'stopping/hang': stopping({ type: 'hang', which: 'silence', silentMs: 600_000, basis: 'a timeout of 10m' }),
  'stopping/unhealthy': stopping({
    type: 'unhealthy',
    finding: { kind: 'non-finite-loss', step: 50, reason: 'the loss is NaN' },
  }),
  'stopping/not-resumed': {
    ...alive,
    name: 'stopping',
    pid: 7,
    cause: {
      type: 'not-resumed',
      finding: { kind: 'not-resumed', step: 1, reason: 'it began at step 1' },
      from: saved(40),
    },
    forced: true,
    ledger: first,
  },
  'ended/completed': ended('completed'),
  'ended/failed': ended('failed'),
  'ended/stopped': ended('stopped'),
  'ended/preempted': ended('preempted'),
};

const summary = steps(41, 50);

/** One of each. The folder is in order; the worker crashes. */
export const events: { readonly [T in EventType]: Extract<Event, { type: T }> } = {
  started: { ...now, type: 'started', bootId: 'boot-2' },
  inspected: { ...now, type: 'inspected', checkpoints: [saved(40)], guessed: false, jitter: 0.5 },
  'inspection-failed': { ...now, type: 'inspection-failed', reason: 'EIO', jitter: 0.5 },
  'rolled-back': { ...now, type: 'rolled-back', quarantined: ['checkpoint-60'], tx: 'tx-1' },
  'rollback-failed': { ...now, type: 'rollback-failed', reason: 'EROFS' },
  undone: { ...now, type: 'undone' },
  'code-noted': { ...now, type: 'code-noted', attempt: 0, code: { head: 'abc' } },
  'backoff-elapsed': { ...now, type: 'backoff-elapsed' },
  'host-ready': { ...now, type: 'host-ready' },
  'host-not-ready': { ...now, type: 'host-not-ready', waitingFor: 'free space in /ckpts' },
  launched: { ...now, type: 'launched', pid: 8 },
  adopted: { ...now, type: 'adopted', pid: 7, alive: true, unwatchedMs: 60_000 },
  'launch-abandoned': { ...now, type: 'launch-abandoned' },
  progressed: { ...now, type: 'progressed', summary },
  'checkpoint-verified': { ...now, type: 'checkpoint-verified', checkpoint: saved(50), fresh: true },
  unhealthy: {
    ...now,
    type: 'unhealthy',
    finding: { kind: 'non-finite-loss', step: 50, reason: 'the loss is NaN' },
  },
  'silence-warning': { ...now, type: 'silence-warning', silentMs: 600_000, basis: 'a timeout of 10m' },
  deadline: { ...now, type: 'deadline', which: 'silence', silentMs: 900_000, basis: 'a timeout of 10m' },
  stuck: { ...now, type: 'stuck', pid: 7, wchan: 'rpc_wait_bit_killable' },
  exited: { ...now, type: 'exited', exit: code(1), failure: exception('boom'), summary },
  'stop-requested': { ...now, type: 'stop-requested', by: 'interrupt' },
  'stop-forced': { ...now, type: 'stop-forced' },
};
