import type { EventType } from '../../src/policy/event.js';
import type { Variant } from './samples.js';

/**
 * What a cell says: the variant that comes next, and the effects in their order. `as it was`: the very same state and
 * no effect. `changed`: the same variant with other data in it and no effect.
 */
export type Cell = 'as it was' | 'changed' | Variant | `${Variant} → ${string}`;
type Row = Record<EventType, Cell>;

const no = 'as it was';
const inspectAgain = 'inspecting/backoff → inspect';

// What comes too late, or cannot come, changes nothing. Each of these names all it stands for.
const noFolder = { inspected: no, 'inspection-failed': no } as const;
const noRollback = { 'rolled-back': no, 'rollback-failed': no, undone: no } as const;
const noWait = { 'backoff-elapsed': no, 'host-ready': no, 'host-not-ready': no } as const;
const noLaunch = { launched: no, adopted: no, 'launch-abandoned': no, 'code-noted': 'changed' } as const;
const noWorker = {
  progressed: no,
  'checkpoint-verified': no,
  unhealthy: no,
  'silence-warning': no,
  deadline: no,
  stuck: no,
  exited: no,
} as const;
const noStop = { 'stop-requested': no, 'stop-forced': no } as const;

const over: Omit<Row, 'started'> = {
  ...noFolder,
  ...noRollback,
  ...noWait,
  ...noLaunch,
  ...noWorker,
  ...noStop,
};

/** What a person asked of an earlier supervisor ended with it. */
const goesOn = 'running/stop begun → adopt';

const stopping: Omit<Row, 'started' | 'exited' | 'stop-requested' | 'stop-forced'> = {
  ...noFolder,
  ...noRollback,
  ...noWait,
  ...noLaunch,
  progressed: no,
  'checkpoint-verified': 'changed',
  unhealthy: no,
  'silence-warning': no,
  deadline: no,
  stuck: 'changed',
};

export const table: Record<Variant, Row> = {
  idle: {
    ...over,
    'code-noted': no,
    started: 'inspecting/start → inspect',
    'stop-requested': 'ended/stopped → finish',
  },
  'inspecting/start': {
    ...over,
    'code-noted': no,
    started: 'inspecting/start → inspect',
    inspected: 'starting → launch',
    'inspection-failed': 'backing-off → wait',
    'stop-requested': 'ended/stopped → finish',
  },
  'inspecting/backoff': {
    ...over,
    started: inspectAgain,
    inspected: 'waiting → check-host',
    'inspection-failed': 'backing-off → wait',
    'stop-requested': 'ended/stopped → finish',
  },
  'inspecting/failure': {
    ...over,
    started: 'inspecting/failure → inspect',
    inspected: 'backing-off → wait',
    'inspection-failed': 'backing-off → wait',
    'stop-requested': 'ended/stopped → finish',
  },
  'inspecting/success': {
    ...over,
    started: 'inspecting/success → inspect',
    inspected: 'ended/completed → mark, finish',
    'inspection-failed': 'ended/completed → finish',
    'stop-forced': 'ended/completed → finish',
  },
  'rolling-back': {
    ...over,
    started: inspectAgain,
    'rolled-back': 'backing-off → wait',
    'rollback-failed': 'backing-off → wait',
    'stop-requested': 'rolling-back/stop',
  },
  'rolling-back/stop': {
    ...over,
    started: inspectAgain,
    'rolled-back': 'ended/stopped → finish',
    'rollback-failed': 'ended/stopped → finish',
  },
  'putting-back': {
    ...over,
    started: 'putting-back → undo',
    undone: 'ended/failed → finish',
  },
  'backing-off': {
    ...over,
    started: inspectAgain,
    'backoff-elapsed': inspectAgain,
    'stop-requested': 'ended/stopped → finish',
  },
  waiting: {
    ...over,
    started: inspectAgain,
    'host-ready': 'starting → launch',
    'host-not-ready': 'changed',
    'stop-requested': 'ended/stopped → finish',
  },
  starting: {
    ...over,
    started: 'starting → adopt',
    launched: 'running',
    adopted: 'running',
    'launch-abandoned': inspectAgain,
    exited: 'inspecting/failure → inspect',
    'stop-requested': 'starting/stop',
  },
  'starting/stop': {
    ...over,
    started: 'starting → adopt',
    launched: 'stopping/person → stop-worker',
    adopted: 'stopping/person → stop-worker',
    'launch-abandoned': 'ended/stopped → finish',
    exited: 'ended/stopped → finish',
    'stop-forced': 'starting/stop forced',
  },
  'starting/stop forced': {
    ...over,
    started: 'starting → adopt',
    launched: 'stopping/person forced → stop-worker, kill-worker',
    adopted: 'stopping/person forced → stop-worker, kill-worker',
    'launch-abandoned': 'ended/stopped → finish',
    exited: 'ended/stopped → finish',
  },
  'starting/stop at checkpoint': {
    ...over,
    started: 'starting → adopt',
    launched: 'running/stop at checkpoint',
    adopted: 'running/stop at checkpoint',
    'launch-abandoned': 'ended/stopped → finish',
    exited: 'ended/stopped → finish',
    'stop-requested': 'starting/stop',
  },
  running: {
    ...noFolder,
    ...noRollback,
    ...noWait,
    ...noLaunch,
    started: 'running → adopt',
    progressed: 'changed',
    'checkpoint-verified': 'changed',
    unhealthy: 'stopping/unhealthy → stop-worker',
    'silence-warning': 'running → dump-stacks',
    deadline: 'stopping/hang → stop-worker',
    stuck: 'changed',
    exited: 'inspecting/failure → inspect',
    'stop-requested': 'stopping/person → stop-worker',
    'stop-forced': no,
  },
  'running/stop begun': {
    ...noFolder,
    ...noRollback,
    ...noWait,
    ...noLaunch,
    started: goesOn,
    progressed: 'changed',
    'checkpoint-verified': 'changed',
    unhealthy: 'stopping/unhealthy → stop-worker',
    'silence-warning': 'running/stop begun → dump-stacks',
    deadline: 'stopping/hang → stop-worker',
    stuck: 'changed',
    exited: 'inspecting/backoff → tell, inspect',
    'stop-requested': 'stopping/person → stop-worker',
    'stop-forced': no,
  },
  'running/stop at checkpoint': {
    ...noFolder,
    ...noRollback,
    ...noWait,
    ...noLaunch,
    started: 'running → adopt',
    progressed: 'changed',
    'checkpoint-verified': 'stopping/person → stop-worker',
    unhealthy: 'stopping/unhealthy → stop-worker',
    'silence-warning': 'running/stop at checkpoint → dump-stacks',
    deadline: 'stopping/hang → stop-worker',
    stuck: 'changed',
    exited: 'ended/stopped → finish',
    'stop-requested': 'stopping/person → stop-worker',
    'stop-forced': no,
  },
  'stopping/person': {
    ...stopping,
    started: goesOn,
    exited: 'ended/stopped → finish',
    'stop-requested': no,
    'stop-forced': 'stopping/person forced → kill-worker',
  },
  'stopping/person forced': {
    ...stopping,
    started: goesOn,
    exited: 'ended/stopped → finish',
    'stop-requested': no,
    'stop-forced': no,
  },
  'stopping/preempted': {
    ...stopping,
    started: goesOn,
    exited: 'ended/preempted → finish',
    'stop-requested': no,
    'stop-forced': 'stopping/preempted → kill-worker',
  },
  'stopping/preempted warned': {
    ...stopping,
    started: goesOn,
    exited: 'ended/preempted → finish',
    'stop-requested': 'stopping/person → stop-worker',
    'stop-forced': 'stopping/preempted warned → kill-worker',
  },
  'stopping/hang': {
    ...stopping,
    started: 'stopping/hang → adopt, stop-worker',
    exited: 'inspecting/failure → inspect',
    'stop-requested': 'stopping/person',
    'stop-forced': 'stopping/hang → kill-worker',
  },
  'stopping/unhealthy': {
    ...stopping,
    started: 'stopping/unhealthy → adopt, stop-worker',
    // what is saved from a training that has gone bad is no progress
    'checkpoint-verified': no,
    exited: 'inspecting/failure → inspect',
    'stop-requested': 'stopping/person',
    'stop-forced': 'stopping/unhealthy → kill-worker',
  },
  'stopping/not-resumed': {
    ...stopping,
    started: 'stopping/not-resumed → adopt, kill-worker',
    'checkpoint-verified': no,
    exited: 'inspecting/failure → inspect',
    'stop-requested': 'stopping/person forced',
    // it was killed to begin with
    'stop-forced': no,
  },
  'ended/completed': { ...over, started: 'inspecting/start → inspect' },
  'ended/failed': { ...over, started: 'inspecting/start → inspect' },
  'ended/stopped': { ...over, started: 'inspecting/start → inspect' },
  'ended/preempted': { ...over, started: 'inspecting/start → inspect' },
};
