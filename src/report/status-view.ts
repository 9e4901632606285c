import type { FailureRecord, State } from '../policy/state.js';
import type { Progress } from '../progress/types.js';
import type { Live } from '../supervisor/parts.js';
import { goodput } from './goodput.js';
import type { FiledIncident } from './incident.js';
import type { CheckpointView, FailureView, IncidentView, RunStateName } from './run-status.js';
import type { RunStatus, StateRecord, SupervisorView } from './run-status.js';

export type { RunSettings, RunStatus, StateRecord, SupervisorView } from './run-status.js';

/** What is known of a run besides its record. */
export interface Besides {
  /** Whether the worker's main process is known to be there; as `active` unless given. */
  readonly workerAlive?: boolean;
  /** The supervisor, or the last; the record's own writer unless given. */
  readonly supervisor?: SupervisorView | null;
  /** The newest. */
  readonly incident?: FiledIncident | undefined;
}

/** @param active whether a supervisor holds the run's lock */
export function viewRun(record: StateRecord, active: boolean, besides: Besides = {}): RunStatus {
  const { workerAlive = active, supervisor = writerOf(record), incident } = besides;
  const { state, progress, settings, checkpoints } = record;
  const { ledger } = state;
  const alive = state.name === 'running' || state.name === 'stopping';
  const step = progress?.step ?? ledger.lastAttempt?.lastStep;
  const { ettr, ...kept } = goodput(
    ledger,
    state.name === 'ended' ? state.at : record.at,
    alive ? trainingMs(progress) : 0,
  );
  const deadlineAt =
    record.nextDeadlineMono === undefined ? undefined : record.at + record.nextDeadlineMono - record.mono;
  const lastHeartbeatAt = isoOrNull(progress?.lastHeartbeatAt);
  return {
    run: record.run,
    state: nameOf(state, active),
    active,
    supervisor: state.name === 'ended' ? null : supervisor,
    pid: alive && workerAlive ? state.pid : null,
    engine: settings.engine,
    command: settings.command,
    attempt: ledger.attempt,
    retriesUsed: ledger.retriesUsed,
    maxRetries: settings.maxRetries,
    totalFailures: ledger.totalFailures,
    step: step ?? null,
    totalSteps: progress?.totalSteps ?? ledger.lastAttempt?.totalSteps ?? null,
    loss: progress?.loss ?? null,
    lastHeartbeatAt,
    nextDeadlineAt: alive && active ? isoOrNull(deadlineAt) : null,
    nextRetryAt: state.name === 'backing-off' ? isoOrNull(state.until.at) : null,
    waitingFor: state.name === 'waiting' ? (state.waitingFor ?? null) : stuckWords(state),
    warning: state.name === 'running' ? (state.warning ?? null) : null,
    reason: state.name === 'ended' ? state.reason : null,
    checkpoint: { latest: viewCheckpoint(checkpoints?.latest), safe: viewCheckpoint(checkpoints?.safe) },
    lastRecoveryStatus: ledger.lastRecovery,
    failures: ledger.failures.map(viewFailure),
    incident: viewIncident(incident),
    workers: [
      {
        workerId: '0',
        status:
          state.name === 'ended' && state.outcome === 'failed'
            ? 'failed'
            : ledger.totalFailures > 0
              ? 'recovered'
              : 'active',
        lastCheckpoint: checkpoints?.latest?.path ?? null,
        failureCount: ledger.totalFailures,
        lastHeartbeat: lastHeartbeatAt,
        currentBatch: step ?? null,
      },
    ],
    goodput: { ettr: ettr ?? null, ...kept },
  };
}

/**
 * A run without a state: it has only just begun, or was left before its first one was written, or somebody deleted it.
 * @param active whether a supervisor holds the run's lock
 * @param pid of a worker of it that lives
 */
export const viewUnbegun = (
  run: string,
  active: boolean,
  supervisor: SupervisorView | null,
  pid: number | null,
  incident?: FiledIncident,
): RunStatus => ({
  ...{ run, state: active ? 'starting' : 'orphaned', active, supervisor, pid, engine: null, command: [] },
  ...{ attempt: 0, retriesUsed: 0, maxRetries: 0, totalFailures: 0 },
  ...{ step: null, totalSteps: null, loss: null, lastHeartbeatAt: null, nextDeadlineAt: null },
  ...{ nextRetryAt: null, waitingFor: null, warning: null, reason: null },
  checkpoint: { latest: null, safe: null },
  lastRecoveryStatus: null,
  failures: [],
  incident: viewIncident(incident),
  workers: [],
  goodput: { ettr: null, wallSeconds: 0, keptSeconds: 0, lostSteps: 0 },
});

/** @param writtenAt when it last wrote the run's state, ms since 1970 */
export const viewSupervisor = (
  { pid, host, where }: Pick<SupervisorView, 'pid' | 'host' | 'where'>,
  writtenAt: number | undefined,
  now: number,
): SupervisorView => ({
  ...{ pid, host, where, seenAt: isoOrNull(writtenAt) },
  ageSeconds: writtenAt === undefined ? null : Math.max(0, Math.round((now - writtenAt) / 1000)),
});

const writerOf = ({ pid, host, at }: StateRecord): SupervisorView =>
  viewSupervisor({ pid, host, where: 'here' }, at, at);

function nameOf(state: State, active: boolean): RunStateName {
  if (state.name === 'ended') return state.outcome;
  if (!active) return 'orphaned';
  switch (state.name) {
    case 'running':
    case 'stopping':
      return state.stuck ? 'waiting' : state.name;
    case 'starting':
    case 'rolling-back':
    case 'backing-off':
    case 'waiting':
      return state.name;
    case 'putting-back':
      return 'rolling-back';
    case 'idle':
    case 'inspecting':
      return 'starting';
  }
}

function stuckWords(state: State): string | null {
  if ((state.name !== 'running' && state.name !== 'stopping') || !state.stuck) return null;
  return `process ${state.stuck.pid}, which cannot be killed (state D, in ${state.stuck.wchan})`;
}

const viewCheckpoint = (c: NonNullable<Live['checkpoints']>['latest']): CheckpointView | null =>
  c ? { id: c.id, path: c.path, step: c.step ?? c.number ?? null, standing: c.standing } : null;

const viewIncident = (incident: FiledIncident | undefined): IncidentView | null =>
  incident
    ? {
        ...{ number: incident.number, attempt: incident.attempt, at: incident.at, kind: incident.kind },
        ...{ step: incident.step, cause: incident.cause, action: incident.action },
        ...{ lost: incident.lost, outcome: incident.outcome, advice: incident.advice },
        file: incident.file,
      }
    : null;

function viewFailure(failure: FailureRecord): FailureView {
  const { exit } = failure;
  return {
    attempt: failure.attempt,
    kind: failure.kind,
    reason: failure.reason,
    step: failure.step ?? null,
    exitCode: exit.type === 'code' ? exit.code : null,
    signal: exit.type === 'signal' ? exit.signal : null,
    action: failure.action,
    rolledBackTo: failure.rolledBackTo?.id ?? null,
    at: new Date(failure.at).toISOString(),
    evidence: failure.evidence,
  };
}

function trainingMs(progress: Progress | undefined): number {
  if (progress?.lastProgressMono === undefined || progress.startMs === undefined) return 0;
  return Math.max(0, progress.lastProgressMono - progress.startedMono - progress.startMs);
}

const isoOrNull = (ms: number | undefined): string | null =>
  ms === undefined ? null : new Date(ms).toISOString();
