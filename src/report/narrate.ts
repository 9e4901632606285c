import path from 'node:path';
import type { Exit } from '../failure/types.js';
import type { CheckpointFact } from '../policy/checkpoint.js';
import type { State } from '../policy/state.js';
import type { Happening } from '../supervisor/parts.js';
import { formatDuration } from '../util/duration.js';
import { formatCount } from '../util/text.js';
import type { Incident } from './incident.js';

/** What a line of trainguard's own is about; the console gives each its sign and colour. */
export type Tone = 'start' | 'failure' | 'rollback' | 'wait' | 'done' | 'note' | 'warning' | 'detail';

export interface Line {
  readonly tone: Tone;
  readonly text: string;
}

/** What is said once about a run, which no event carries. */
export interface Telling {
  readonly run: string;
  readonly command: string;
  /** What was found of checkpoints: `checkpoints in ckpts (generic)`, or `none: no rollback`. */
  readonly checkpoints: string;
}

/**
 * Says in plain words what happened and what is done about it. Pure.
 * @param incident the one that the happening changed: it knows how long the attempt lasted
 */
export function narrate(
  telling: Telling,
  { event, before, after }: Happening,
  incident?: Incident,
): readonly Line[] {
  const lines: Line[] = [];
  const say = (tone: Tone, text: string): void => {
    lines.push({ tone, text });
  };
  const attempt = after.ledger.attempt;
  // a folder that cannot be read or changed is tried every second or so; it is told of once
  const again = before.ledger.folderAwaySince !== undefined;
  switch (event.type) {
    case 'started':
      if (before.name === 'ended') say('note', startedAgain(before));
      else if (stopWasAsked(before)) {
        say(
          'note',
          'a stop had been asked of the supervisor before this one; to run it again means that it goes on',
        );
      }
      break;
    case 'launched': {
      if (after.name !== 'running' && after.name !== 'stopping') break;
      say('start', `run ${telling.run} · attempt ${attempt} · ${telling.command}`);
      if (after.ledger.launched === 1) say('detail', telling.checkpoints);
      if (after.resume)
        say(
          'detail',
          `resumes from ${nameOf(after.resume)}${atStep(after.resume.step ?? after.resume.number)}`,
        );
      break;
    }
    case 'adopted': {
      const { pid, alive, unwatchedMs } = event;
      const alone = unwatchedMs > 0 ? `; nobody watched it for ${formatDuration(unwatchedMs)}` : '';
      const goesOn = alive ? `goes on · pid ${pid}: its supervisor was gone` : 'ended without its supervisor';
      say('start', `run ${telling.run} · attempt ${attempt} ${goesOn}${alone}`);
      break;
    }
    case 'launch-abandoned':
      say('note', `attempt ${before.ledger.attempt} never started: its supervisor was gone before`);
      break;
    case 'silence-warning':
      say('warning', `no progress for ${formatDuration(event.silentMs)}; ${event.basis}`);
      break;
    case 'unhealthy':
      say('warning', event.finding.reason);
      break;
    case 'stuck':
      say(
        'warning',
        `process ${event.pid} cannot be killed (state D, in ${event.wchan}); waiting for it, since two attempts must never overlap`,
      );
      break;
    case 'stop-requested':
      if (event.atCheckpoint && (after.name === 'running' || after.name === 'starting')) {
        say('note', 'stops once its next checkpoint is complete; another stop request stops it now');
      }
      if (after.name === 'stopping' && before.name !== 'stopping') {
        say('note', `stopping: the training gets time to finish a save; a second signal kills it at once`);
      }
      break;
    case 'stop-forced':
      if (after.name === 'stopping') say('note', 'killing it now');
      break;
    case 'host-not-ready':
      if (after.name === 'waiting') say('wait', `waiting for ${event.waitingFor}`);
      break;
    case 'rolled-back':
      if (before.name === 'rolling-back') say('rollback', rolledBack(before, event.quarantined));
      break;
    case 'rollback-failed':
      if (!again) say('warning', `the rollback failed: ${event.reason}`);
      break;
    case 'undone':
      if (before.name === 'putting-back' && event.left === undefined)
        say('rollback', 'what was moved only on a doubt is back: the folder is as it was before');
      break;
    case 'inspection-failed':
      if (!again) say('warning', `the checkpoint folder could not be read: ${event.reason}`);
      break;
    default:
      break;
  }
  if (event.type === 'inspected' || event.type === 'inspection-failed')
    lines.push(...failed(before, after, incident));
  if (after.name === 'backing-off' && before.name !== 'backing-off' && !again) {
    const action = after.ledger.failures.at(-1)?.action ?? '';
    say('wait', `waiting ${formatDuration(after.delayMs)} before attempt ${attempt} (${action})`);
  }
  return lines;
}

function failed(before: State, after: State, incident: Incident | undefined): readonly Line[] {
  if (before.name !== 'inspecting' || before.after !== 'failure') return [];
  const failure = after.ledger.failures.at(-1);
  if (!failure) return [];
  const seconds = incident?.attempt === failure.attempt ? incident.afterSeconds : null;
  const lasted = seconds === null ? '' : ` after ${formatDuration(seconds * 1000)}`;
  const lines: Line[] = [
    {
      tone: 'failure',
      text: `attempt ${failure.attempt} failed${lasted}${atStep(failure.step)}: ${failure.kind}`,
    },
    { tone: 'detail', text: failure.reason },
  ];
  for (const evidence of failure.evidence.slice(0, 2)) {
    if (!failure.reason.includes(evidence.text))
      lines.push({ tone: 'detail', text: `${evidence.source}: ${evidence.text}` });
  }
  if (failure.advice !== undefined) lines.push({ tone: 'detail', text: failure.advice });
  return lines;
}

/** Whether an earlier supervisor died over a stop that somebody wanted. */
function stopWasAsked(state: State): boolean {
  if (state.name === 'starting' && state.stop !== undefined) return true;
  if (state.name === 'stopping') return state.cause.type === 'person' || state.cause.type === 'preempted';
  return (state.name === 'starting' || state.name === 'running') && state.stopAtCheckpoint === true;
}

function startedAgain(before: Extract<State, { name: 'ended' }>): string {
  if (before.outcome === 'preempted')
    return 'the run was preempted; it goes on where it was, with the same budgets';
  const how =
    before.outcome === 'failed'
      ? 'had failed'
      : before.outcome === 'stopped'
        ? 'was stopped'
        : 'had completed';
  const doubts = before.ledger.suspects ? ', and without its doubts about checkpoints' : '';
  return `the run ${how}; it starts anew with attempt ${before.ledger.attempt + 1} and fresh retry budgets${doubts}`;
}

function rolledBack(state: Extract<State, { name: 'rolling-back' }>, quarantined: readonly string[]): string {
  const moved =
    quarantined.length === 0 ? 'nothing had to be moved' : `quarantined: ${quarantined.join(', ')}`;
  const { target } = state;
  const from = target?.spare ? ', which was put back out of the vault' : '';
  const to = target
    ? `rolled back to ${nameOf(target)}${atStep(target.step ?? target.number)} (${target.standing})${from}`
    : 'no good checkpoint is left: training starts from the beginning';
  return `${to}; ${state.reason}; ${moved}`;
}

/** As it is called in the checkpoint folder. */
const nameOf = ({ id, path: place, spare }: CheckpointFact): string => (spare ? path.basename(place) : id);

const atStep = (step: number | undefined): string =>
  step === undefined ? '' : ` at step ${formatCount(step)}`;

/** `exit 1`, `SIGKILL`, `exit status unknown`. */
export function exitWords(exit: Exit): string {
  switch (exit.type) {
    case 'code':
      return `exit ${exit.code}`;
    case 'signal':
      return exit.signal;
    case 'unknown':
      return 'exit status unknown';
    case 'not-started':
      return `not started: ${exit.code}`;
  }
}
