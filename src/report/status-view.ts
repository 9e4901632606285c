import type { FailureRecord, State } from '../policy/state.js';
import type { Progress } from '../progress/types.js';
import type { Live } from '../supervisor/parts.js';
import { formatDuration } from '../util/duration.js';
import { formatCount, plural } from '../util/text.js';
import { type Goodput, goodput } from './goodput.js';
import { exitWords } from './narrate.js';

/** What a run was started with; recorded beside its state. */
export interface RunSettings {
  readonly command: readonly string[];
  readonly engine: 'local' | 'slurm' | 'ray';
  readonly maxRetries: number;
  readonly checkpointDir?: string;
  readonly layout?: string;
  readonly guessed?: boolean;
  /** `--vault`, where one was named. */
  readonly vault?: string;
}

/** state.json: what status shows, progress and log offsets together. */
export interface StateRecord extends Live {
  readonly run: string;
  readonly settings: RunSettings;
  /** The supervisor that wrote it. */
  readonly pid: number;
  readonly host: string;
  readonly bootId: string;
  /** When it was written: wall time and that boot's monotonic time, ms. */
  readonly at: number;
  readonly mono: number;
}

export type RunStateName =
  | 'starting'
  | 'running'
  | 'stopping'
  | 'rolling-back'
  | 'backing-off'
  | 'waiting'
  | 'completed'
  | 'failed'
  | 'stopped'
  | 'preempted'
  | 'orphaned';

/** One run in `status --json`. Times are ISO 8601; what is not known is null. */
export interface RunStatus {
  readonly run: string;
  readonly state: RunStateName;
  /** Whether a supervisor is at work on it. */
  readonly active: boolean;
  readonly pid: number | null;
  readonly engine: string;
  readonly command: readonly string[];
  readonly attempt: number;
  readonly retriesUsed: number;
  readonly maxRetries: number;
  readonly totalFailures: number;
  readonly step: number | null;
  readonly totalSteps: number | null;
  readonly loss: number | null;
  readonly lastHeartbeatAt: string | null;
  readonly nextDeadlineAt: string | null;
  readonly nextRetryAt: string | null;
  readonly waitingFor: string | null;
  readonly warning: string | null;
  readonly reason: string | null;
  readonly checkpoint: { readonly latest: CheckpointView | null; readonly safe: CheckpointView | null };
  readonly lastRecoveryStatus: 'success' | 'failed' | null;
  readonly failures: readonly FailureView[];
  readonly workers: readonly WorkerView[];
  readonly goodput: { readonly ettr: number | null } & Omit<Goodput, 'ettr'>;
}

interface CheckpointView {
  readonly id: string;
  readonly path: string;
  readonly step: number | null;
  readonly standing: string;
}

interface FailureView {
  readonly attempt: number;
  readonly kind: string;
  readonly reason: string;
  readonly step: number | null;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly action: string;
  readonly rolledBackTo: string | null;
  readonly at: string;
  readonly evidence: FailureRecord['evidence'];
}

interface WorkerView {
  readonly workerId: string;
  readonly status: 'active' | 'failed' | 'recovered';
  readonly lastCheckpoint: string | null;
  readonly failureCount: number;
  readonly lastHeartbeat: string | null;
  readonly currentBatch: number | null;
}

/** @param active whether a supervisor holds the run's lock */
export function viewRun(record: StateRecord, active: boolean): RunStatus {
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
    pid: alive ? state.pid : null,
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
    nextDeadlineAt: alive ? isoOrNull(deadlineAt) : null,
    nextRetryAt: state.name === 'backing-off' ? isoOrNull(state.until.at) : null,
    waitingFor: state.name === 'waiting' ? (state.waitingFor ?? null) : stuckWords(state),
    warning: state.name === 'running' ? (state.warning ?? null) : null,
    reason: state.name === 'ended' ? state.reason : null,
    checkpoint: { latest: viewCheckpoint(checkpoints?.latest), safe: viewCheckpoint(checkpoints?.safe) },
    lastRecoveryStatus: ledger.lastRecovery,
    failures: ledger.failures.map(viewFailure),
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

/** A run as a person reads it in `status`. */
export function describeRun(status: RunStatus, now: number): string {
  const lines: string[] = [];
  const { step, totalSteps, loss, latest, safe } = { ...status, ...status.checkpoint };
  const where = [
    ...(step === null
      ? []
      : [`step ${formatCount(step)}${totalSteps === null ? '' : ` of ${formatCount(totalSteps)}`}`]),
    ...(loss === null ? [] : [`loss ${loss}`]),
  ];
  lines.push([`${status.run}  ${status.state}`, `attempt ${status.attempt}`, ...where].join(' · '));
  if (status.state === 'orphaned') {
    lines.push('its supervisor is gone; `trainguard run` with the same name goes on with it');
  }
  if (status.reason !== null && status.reason !== 'completed') lines.push(status.reason);
  if (status.pid !== null) lines.push(`pid ${status.pid}${heartbeatWords(status, now)}`);
  if (status.warning !== null) lines.push(`warning: ${status.warning}`);
  if (status.waitingFor !== null) lines.push(`waiting for ${status.waitingFor}`);
  if (status.nextRetryAt !== null) {
    lines.push(`next attempt in ${formatDuration(Date.parse(status.nextRetryAt) - now)}`);
  }
  if (latest)
    lines.push(
      `newest checkpoint ${checkpointWords(latest)}${safe && safe.id !== latest.id ? `, safe ${checkpointWords(safe)}` : ''}`,
    );
  if (status.totalFailures > 0) {
    lines.push(
      `${plural(status.totalFailures, 'failure')}, ${status.retriesUsed} of ${status.maxRetries} retries used`,
    );
    for (const failure of status.failures.slice(-3)) {
      const at = failure.step === null ? '' : ` at step ${formatCount(failure.step)}`;
      const back = failure.rolledBackTo === null ? '' : ` → ${failure.rolledBackTo}`;
      lines.push(`  ${failure.attempt}  ${failure.kind}${at}${back}: ${failure.action || 'being judged'}`);
      lines.push(`     ${failure.reason}`);
    }
  }
  if (status.goodput.ettr !== null) {
    lines.push(
      `goodput ${(status.goodput.ettr * 100).toFixed(1)} %, ${plural(status.goodput.lostSteps, 'step')} repeated`,
    );
  }
  return lines.map((line, i) => (i === 0 ? line : `    ${line}`)).join('\n');
}

function heartbeatWords(status: RunStatus, now: number): string {
  if (status.lastHeartbeatAt === null) return ', no heartbeat yet';
  const ago = `, last heartbeat ${formatDuration(now - Date.parse(status.lastHeartbeatAt))} ago`;
  if (status.nextDeadlineAt === null) return ago;
  return `${ago}; counts as a hang in ${formatDuration(Date.parse(status.nextDeadlineAt) - now)} without progress`;
}

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

const checkpointWords = (c: CheckpointView): string => `${c.id} (${c.standing})`;

function viewFailure(failure: FailureRecord): FailureView {
  const { exit } = failure;
  return {
    attempt: failure.attempt,
    kind: failure.kind,
    reason: failure.reason,
    step: failure.step ?? null,
    exitCode: exit.type === 'code' ? exit.code : null,
    signal: exit.type === 'signal' ? exitWords(exit) : null,
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
