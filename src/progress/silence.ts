import { formatDuration } from '../util/duration.js';
import type { Progress, SilenceDeadline, SilenceSettings, TimingHistory } from './types.js';

/**
 * Adaptive timeouts are so many times the longest that was seen (NVRx uses 5)… At most the least that is waited comes on
 * top of it: five times a known evaluation of 40 minutes found a hang after five hours.
 */
const factor = 5;
/**
 * …and never less: between progresses, in a phase of training whose steps are known, and for a start (NVRx: 60 minutes).
 * A first evaluation, a save elsewhere or a last export is silent for up to 40 minutes, and looks like a hang until it
 * ends; a step waits for 10 minutes at most, as then PyTorch itself aborts a collective (test/chaos/false-alarms.mjs).
 */
const leastMs = 30 * 60_000;
const leastTrainMs = 10 * 60_000;
const leastStartMs = 60 * 60_000;
/** A warning comes at the timeout, a hang at so many times it. */
const hangFactor = 1.5;
/** For so long after the last progress a growing checkpoint folder holds the clock. */
const longestGraceMs = 60 * 60_000;

/**
 * When the present silence is worth a warning and when it is a hang (section 5).
 *
 * Once there was progress in this attempt, the time since the last one counts; lines without progress change nothing.
 * Before it the start-up rule holds, whatever timeout between heartbeats was given: loading and compiling take longer
 * than a step. A run that has never shown progress and was given no timeout is only warned of, counted from its last
 * sign of life. Timeouts that were given replace all adaptation and act at once when they pass; only who says that its
 * steps are over is held to none of them.
 */
export function silenceDeadline(
  settings: SilenceSettings,
  progress: Progress,
  history: TimingHistory,
): SilenceDeadline | undefined {
  return progress.lastProgressMono === undefined
    ? startDeadline(settings, progress, history)
    : progressDeadline(settings, progress, progress.lastProgressMono, history);
}

/** Where the clock stands against a deadline. */
export function judge(deadline: SilenceDeadline | undefined, nowMono: number): 'fine' | 'warn' | 'hang' {
  if (!deadline) return 'fine';
  if (deadline.hangAtMono !== undefined && nowMono >= deadline.hangAtMono) return 'hang';
  return nowMono >= deadline.warnAtMono ? 'warn' : 'fine';
}

function startDeadline(
  settings: SilenceSettings,
  progress: Progress,
  history: TimingHistory,
): SilenceDeadline {
  const { startupTimeoutMs, timeoutMs } = settings;
  if (startupTimeoutMs !== undefined) return fixed('startup', progress.startedMono, startupTimeoutMs);
  const timeout = longestTimes(history.longestStartMs, leastStartMs, 'the longest start');
  if (history.everProgressed || timeoutMs !== undefined) {
    return adaptive('startup', clockFrom(progress, progress.startedMono), timeout);
  }
  return {
    which: 'startup',
    warnAtMono: progress.lastLifeMono + timeout.ms,
    basis: `no output for ${formatDuration(timeout.ms)}, and no heartbeat of this run was ever seen, so it is only warned of`,
  };
}

function progressDeadline(
  settings: SilenceSettings,
  progress: Progress,
  lastMono: number,
  history: TimingHistory,
): SilenceDeadline {
  const learnt = adaptive('silence', clockFrom(progress, lastMono), progressTimeout(progress, history));
  if (settings.timeoutMs === undefined) return learnt;
  const given = fixed('silence', lastMono, settings.timeoutMs);
  // what was given is a time between steps: once they are over it shortens no wait
  const isLonger = (learnt.hangAtMono ?? Infinity) > (given.hangAtMono ?? Infinity);
  return progress.phase === 'done' && isLonger ? learnt : given;
}

interface Timeout {
  readonly ms: number;
  readonly basis: string;
}

function progressTimeout(progress: Progress, history: TimingHistory): Timeout {
  const interval = longer(history.longestIntervalMs, progress.longestIntervalMs);
  const { phase } = progress;
  if (!progress.reportsPhase || phase === undefined) return intervalTimeout(interval, progress, history);
  const inPhase = longer(history.longestPhaseMs[phase], progress.longestPhaseMs[phase]);
  if (phase === 'startup') {
    return longestTimes(longer(inPhase, history.longestStartMs), leastStartMs, 'the longest start');
  }
  // a phase that never ended before may be far longer than any other, so it gets what a worker without phases gets
  if (inPhase === undefined) return intervalTimeout(interval, progress, history);
  return longestTimes(
    inPhase,
    phase === 'train' ? leastTrainMs : leastMs,
    `the longest wait in phase ${phase}`,
  );
}

/** What reports once an epoch shows its second progress as late as its first: until an interval is known, the start is. */
const intervalTimeout = (
  intervalMs: number | undefined,
  progress: Progress,
  history: TimingHistory,
): Timeout =>
  intervalMs === undefined
    ? longestTimes(longer(history.longestStartMs, progress.startMs), leastMs, 'the longest start')
    : longestTimes(intervalMs, leastMs, 'the longest interval');

function longestTimes(longestMs: number | undefined, floorMs: number, what: string): Timeout {
  if (longestMs === undefined || factor * longestMs <= floorMs) {
    return { ms: floorMs, basis: `${formatDuration(floorMs)}, the least that is waited here` };
  }
  const seen = `${what} seen (${formatDuration(longestMs)})`;
  if (factor * longestMs <= floorMs + longestMs)
    return { ms: factor * longestMs, basis: `${factor} × ${seen}` };
  return { ms: floorMs + longestMs, basis: `${formatDuration(floorMs)} more than ${seen}` };
}

/** A folder that grows holds the clock, for an hour at most; a progress bar as long as it moves on. */
const clockFrom = ({ graceFromMono, barMono }: Progress, sinceMono: number): number =>
  Math.max(sinceMono, barMono ?? sinceMono, Math.min(graceFromMono ?? sinceMono, sinceMono + longestGraceMs));

const adaptive = (
  which: SilenceDeadline['which'],
  fromMono: number,
  { ms, basis }: Timeout,
): SilenceDeadline => ({
  which,
  warnAtMono: fromMono + ms,
  hangAtMono: fromMono + hangFactor * ms,
  basis,
});

const fixed = (which: SilenceDeadline['which'], fromMono: number, ms: number): SilenceDeadline => ({
  which,
  warnAtMono: fromMono + ms,
  hangAtMono: fromMono + ms,
  basis: `the ${which === 'startup' ? 'start-up' : 'heartbeat'} timeout of ${formatDuration(ms)} that was set`,
});

/** The longer of two times of which either may be unknown. */
export const longer = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : Math.max(a, b);
