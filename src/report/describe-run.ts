import { formatDuration } from '../util/duration.js';
import { formatCount, plural } from '../util/text.js';
import type { CheckpointView, IncidentView, RunStatus, SupervisorView } from './run-status.js';

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
  // a run without a worker has not begun
  const attempt = status.workers.length === 0 ? [] : [`attempt ${status.attempt}`];
  lines.push([`${status.run}  ${status.state}`, ...attempt, ...where].join(' · '));
  const { supervisor } = status;
  const away = supervisor ? describePlace(supervisor) : '';
  if (status.state === 'orphaned') lines.push(orphanWords(status));
  else if (supervisor && away !== '') {
    lines.push(`supervised by pid ${supervisor.pid}${away}, state as of ${ageWords(supervisor)}`);
  }
  if (status.reason !== null && status.reason !== 'completed') lines.push(status.reason);
  if (status.pid !== null) lines.push(`pid ${status.pid}${away}${heartbeatWords(status, now)}`);
  if (status.warning !== null) lines.push(`warning: ${status.warning}`);
  if (status.waitingFor !== null) lines.push(`waiting for ${status.waitingFor}`);
  if (status.nextRetryAt !== null && status.active) {
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
  if (status.incident) lines.push(incidentWords(status.incident, now));
  if (status.goodput.ettr !== null) {
    lines.push(
      `goodput ${(status.goodput.ettr * 100).toFixed(1)} %, ${plural(status.goodput.lostSteps, 'step')} repeated`,
    );
  }
  return lines.map((line, i) => (i === 0 ? line : `    ${line}`)).join('\n');
}

/** What happened last, when, and where all of it is told; what was done stands with the failures. */
const incidentWords = ({ at, attempt, kind, file }: IncidentView, now: number): string =>
  `last incident: attempt ${attempt}, ${kind}, ${formatDuration(now - Date.parse(at))} ago: ${file}`;

/** ` on host x`, where a pid alone would mislead; nothing where it does not. */
export function describePlace({ host, where }: Pick<SupervisorView, 'host' | 'where'>): string {
  if (where === 'here') return '';
  if (where === 'other-namespace') return ' in another pid namespace of this host';
  return where === 'other-boot' ? ' before this host was restarted' : ` on host ${host}`;
}

/** What is known of a run without a supervisor, and what may be done. */
function orphanWords({ run, supervisor, pid }: RunStatus): string {
  const goOn = `"trainguard resume ${run}" goes on with it`;
  const known = supervisor && `its supervisor (pid ${supervisor.pid}${describePlace(supervisor)})`;
  switch (supervisor?.where) {
    case 'other-host':
      return `${known} was last heard of ${ageWords(supervisor)}; if its worker lives on there, end it there, then ${goOn} here`;
    case 'other-namespace':
      return `${known} is gone; whether its worker lives on there cannot be seen from here; if not, ${goOn}`;
    case 'other-boot':
      return `its supervisor and its worker are gone, as this host was restarted; ${goOn}`;
    default:
      return `its supervisor is gone${pid === null ? ', no worker of it is seen' : ', its worker lives on'}; ${goOn}`;
  }
}

const ageWords = ({ ageSeconds }: SupervisorView): string =>
  ageSeconds === null ? 'never' : `${formatDuration(ageSeconds * 1000)} ago`;

function heartbeatWords(status: RunStatus, now: number): string {
  if (status.lastHeartbeatAt === null) return ', no heartbeat yet';
  const ago = `, last heartbeat ${formatDuration(now - Date.parse(status.lastHeartbeatAt))} ago`;
  if (status.nextDeadlineAt === null) return ago;
  return `${ago}; counts as a hang in ${formatDuration(Date.parse(status.nextDeadlineAt) - now)} without progress`;
}

const checkpointWords = (c: CheckpointView): string => `${c.id} (${c.standing})`;
