import { formatDuration } from '../util/duration.js';
import { formatCount } from '../util/text.js';
import { type Check, fails, fine, warn } from './doctor-check.js';

/** What a short trial of the command showed. Unknown is not zero. */
export interface TrialFacts {
  readonly seconds: number;
  /** How it ended before it was stopped: the exit in words, whether well, and why. */
  readonly ended?: { readonly well: boolean; readonly kind: string; readonly reason: string };
  /** Which formats its lines were in: `explicit`, `keras`. */
  readonly formats: readonly string[];
  readonly heartbeats: number;
  readonly firstStep?: number;
  readonly lastStep?: number;
  /** From the launch to the first progress, and the longest from one to the next, ms. */
  readonly startMs?: number;
  readonly longestIntervalMs?: number;
  readonly reportsPhase: boolean;
  /** What it printed, bytes. */
  readonly printed: number;
  /** Its output came in full blocks, or only once it was told to stop. */
  readonly buffered: boolean;
  /** Checkpoints that became complete; undefined: no folder was watched. */
  readonly saved?: readonly string[];
  /** It had to be killed: it did not end within so long after the stop signal, ms. */
  readonly killedAfterMs?: number;
}

const printStep = 'let it print its step: print(f"heartbeat step={step} loss={loss:.4f}", flush=True)';

/** What a trial says of how the training will be watched. Pure. */
export function judgeTrial(facts: TrialFacts): readonly Check[] {
  const { ended, saved, seconds, killedAfterMs } = facts;
  const took = formatDuration(seconds * 1000);
  if (ended && !ended.well)
    return [fails('trial', `it failed within ${took}: ${ended.kind}: ${ended.reason}`)];
  const checks: Check[] = [
    fine('trial', ended ? `it ended by itself within ${took}` : `it ran for ${took}, then it was stopped`),
    ...beatsOf(facts),
  ];
  if (facts.buffered)
    checks.push(warn('trial', 'its output is held back and comes in blocks, so progress is seen late', 'print(…, flush=True); for other programs stdbuf -oL in front')); // prettier-ignore
  if (saved && saved.length > 0)
    checks.push(fine('trial', `it saved ${saved.slice(-3).join(', ')}, which would be recognised`));
  else if (saved)
    checks.push(fine('trial', 'it saved nothing within that time', 'a longer trial sees a save: --try 10m; "trainguard drill" waits for one')); // prettier-ignore
  if (killedAfterMs !== undefined)
    checks.push(warn('trial', `it did not end within ${formatDuration(killedAfterMs)} of the stop signal, and was killed`, 'a save that takes longer needs more --stop-grace')); // prettier-ignore
  return checks;
}

function beatsOf(facts: TrialFacts): readonly Check[] {
  const { formats, heartbeats, firstStep, lastStep, startMs, longestIntervalMs, printed } = facts;
  if (heartbeats === 0) {
    const text = printed === 0 ? 'it printed nothing' : 'it printed no line that says how far it is';
    return [
      warn(
        'progress',
        `${text}: without progress a hang is only warned of, never ended`,
        `${printStep}\nor give its lines' form in heartbeat.pattern, or a bound with --heartbeat-timeout`,
      ),
    ];
  }
  const steps =
    firstStep === undefined
      ? 'no step in it'
      : `steps ${formatCount(firstStep)} to ${formatCount(lastStep ?? firstStep)}`;
  const first = startMs === undefined ? '' : `, the first after ${formatDuration(startMs)}`;
  const every = longestIntervalMs === undefined ? '' : `, at most ${formatDuration(longestIntervalMs)} apart`;
  const phases = facts.reportsPhase ? ', with phases' : '';
  const line = `progress is recognised (${formats.join(', ')}): ${steps}${first}${every}${phases}`;
  return [
    firstStep === undefined
      ? warn('progress', line, `${printStep}: without steps nothing is known of what a restart cost`)
      : fine('progress', line),
  ];
}
