import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { extend, fold, noteLife, startProgress } from '../../src/progress/fold.js';
import { judge, silenceDeadline } from '../../src/progress/silence.js';
import type { Heartbeat, Progress, SilenceSettings, TimingHistory } from '../../src/progress/types.js';

const minute = 60_000;
const hour = 60 * minute;
const noHistory: TimingHistory = { everProgressed: false, longestPhaseMs: {} };
const known: TimingHistory = { everProgressed: true, longestPhaseMs: {} };

type Beat = readonly [mono: number, fields: Omit<Heartbeat, 'metrics'>];

function after(...beats: readonly Beat[]): Progress {
  let progress = startProgress({ at: 0, mono: 0 });
  for (const [mono, fields] of beats)
    progress = fold(progress, { ...fields, metrics: {} }, { at: mono, mono });
  return progress;
}

interface Case {
  readonly name: string;
  readonly settings?: SilenceSettings;
  readonly beats?: readonly Beat[];
  readonly history?: TimingHistory;
  readonly change?: (progress: Progress) => Progress;
  readonly warn: number;
  readonly hang: number | undefined;
}

const cases: readonly Case[] = [
  // after the steps
  { name: 'steps are over: no timeout between them counts', settings: { timeoutMs: 2000 }, beats: [[1000, { step: 1 }], [2000, { phase: 'done' }]], warn: 2000 + hour / 2, hang: 2000 + 0.75 * hour },
  { name: 'a new step: it counts again', settings: { timeoutMs: 2000 }, beats: [[1000, { step: 1 }], [2000, { phase: 'done' }], [3000, { step: 2 }]], warn: 5000, hang: 5000 },
  { name: 'steps that are counted anew: it counts again', settings: { timeoutMs: 2000 }, beats: [[1000, { step: 9 }], [2000, { phase: 'done' }], [3000, { step: 1 }]], warn: 5000, hang: 5000 },
  { name: 'a timeout that is longer is not cut short by it', settings: { timeoutMs: 4 * hour }, beats: [[1000, { step: 1 }], [2000, { phase: 'done' }]], warn: 2000 + 4 * hour, hang: 2000 + 4 * hour },
  { name: 'whose steps were over reports no phases', beats: [[1000, { step: 1 }], [2000, { phase: 'done' }], [3000, { step: 2 }], [4000, { phase: 'done' }], [5000, { step: 3 }]], warn: 5000 + hour / 2, hang: 5000 + 0.75 * hour },
  // before the first progress of an attempt
  { name: 'never progressed, no timeout given: only warned of', warn: hour, hang: undefined },
  { name: 'and counted from the last sign of life', change: (p) => noteLife(p, { at: 0, mono: hour }), warn: 2 * hour, hang: undefined },
  { name: 'progressed in an earlier attempt', history: known, warn: hour, hang: 1.5 * hour },
  { name: 'lines are no start', history: known, change: (p) => noteLife(p, { at: 0, mono: hour }), warn: hour, hang: 1.5 * hour },
  { name: 'a long start is known', history: { ...known, longestStartMs: 20 * minute }, warn: 80 * minute, hang: 120 * minute },
  { name: 'a short start is known', history: { ...known, longestStartMs: minute }, warn: hour, hang: 1.5 * hour },
  { name: 'a start-up timeout acts at once', settings: { startupTimeoutMs: 5000 }, warn: 5000, hang: 5000 },
  { name: 'a heartbeat timeout does not cut the start short', settings: { timeoutMs: 2000 }, warn: hour, hang: 1.5 * hour },
  { name: 'an announced start is not progress', history: known, beats: [[1000, { phase: 'startup' }]], warn: hour, hang: 1.5 * hour },
  { name: 'growth holds the start clock', history: known, change: (p) => noteLife(p, { at: 0, mono: 30 * minute }, 'checkpoint-growth'), warn: 90 * minute, hang: 120 * minute },
  // after it
  { name: 'never under 30 minutes', beats: [[0, { step: 1 }], [1000, { step: 2 }]], warn: 1000 + 30 * minute, hang: 1000 + 45 * minute },
  { name: '5 times the longest interval', beats: [[0, { step: 1 }], [7 * minute, { step: 2 }]], warn: 42 * minute, hang: 59.5 * minute },
  { name: 'but 30 minutes more than it at most', beats: [[0, { step: 1 }], [40 * minute, { step: 2 }]], warn: 110 * minute, hang: 145 * minute },
  { name: 'in any attempt', beats: [[0, { step: 1 }]], history: { ...known, longestIntervalMs: 7 * minute }, warn: 35 * minute, hang: 52.5 * minute },
  { name: 'lines without steps are silence', beats: [[0, { step: 1 }]], change: (p) => noteLife(p, { at: 0, mono: hour }), warn: 30 * minute, hang: 45 * minute },
  { name: 'a heartbeat timeout acts at once', settings: { timeoutMs: 2000 }, beats: [[700, { step: 1 }]], warn: 2700, hang: 2700 },
  { name: 'and growth does not hold it', settings: { timeoutMs: 2000 }, beats: [[700, { step: 1 }]], change: (p) => noteLife(p, { at: 0, mono: 2600 }, 'checkpoint-growth'), warn: 2700, hang: 2700 },
  { name: 'growth holds the clock', beats: [[0, { step: 1 }]], change: (p) => noteLife(p, { at: 0, mono: 30 * minute }, 'checkpoint-growth'), warn: 60 * minute, hang: 75 * minute },
  { name: 'for an hour at most', beats: [[0, { step: 1 }]], change: (p) => noteLife(p, { at: 0, mono: 5 * hour }, 'checkpoint-growth'), warn: 90 * minute, hang: 105 * minute },
  { name: 'time not held against it', beats: [[0, { step: 1 }]], change: (p) => extend(p, hour), warn: 90 * minute, hang: 105 * minute },
  // phases
  { name: 'training whose steps are known, and whose other phases are announced: never under 10 minutes', beats: [[0, { step: 1, phase: 'train' }], [1000, { step: 2, phase: 'train' }]], warn: 1000 + 10 * minute, hang: 1000 + 15 * minute },
  { name: 'each phase has its own clock', beats: [[0, { step: 1, phase: 'train' }], [1000, { step: 2, phase: 'train' }], [2000, { phase: 'eval' }]], history: { ...known, longestPhaseMs: { eval: 7 * minute } }, warn: 2000 + 35 * minute, hang: 2000 + 52.5 * minute },
  { name: 'a phase never seen to end gets the time of a worker without phases', beats: [[0, { step: 1, phase: 'train' }], [1000, { step: 2, phase: 'train' }], [2000, { phase: 'eval' }]], warn: 2000 + 30 * minute, hang: 2000 + 45 * minute },
  { name: 'a start-up phase later on gets the time of a start', beats: [[0, { step: 1, phase: 'train' }], [1000, { phase: 'startup' }]], warn: 1000 + hour, hang: 1000 + 1.5 * hour },
]; // prettier-ignore

const same = (progress: Progress): Progress => progress;

describe('deadlines', () => {
  for (const { name, settings = {}, beats = [], history = noHistory, change = same, warn, hang } of cases) {
    test(name, () => {
      const deadline = silenceDeadline(settings, change(after(...beats)), history);
      assert.ok(deadline);
      assert.deepEqual({ warn: deadline.warnAtMono, hang: deadline.hangAtMono }, { warn, hang });
    });
  }
});

test('says what it rests on', () => {
  const basis = (settings: SilenceSettings, progress: Progress): string | undefined =>
    silenceDeadline(settings, progress, noHistory)?.basis;
  const slow = after([0, { step: 1 }], [430_000, { step: 2 }]);
  assert.equal(basis({}, slow), '5 × the longest interval seen (7m 10s)');
  assert.equal(basis({}, after([0, { step: 1 }])), '30m 00s, the least that is waited here');
  const slower = after([0, { step: 1 }], [hour, { step: 2 }]);
  assert.equal(basis({}, slower), '30m 00s more than the longest interval seen (1h 00m)');
  assert.equal(basis({ timeoutMs: 2000 }, slow), 'the heartbeat timeout of 2 s that was set');
  assert.equal(basis({ startupTimeoutMs: 90_000 }, after()), 'the start-up timeout of 1m 30s that was set');
});

test('judges a deadline', () => {
  const deadline = { which: 'silence', warnAtMono: 100, hangAtMono: 150, basis: '' } as const;
  assert.equal(judge(undefined, 1e9), 'fine');
  assert.equal(judge(deadline, 99), 'fine');
  assert.equal(judge(deadline, 100), 'warn');
  assert.equal(judge(deadline, 150), 'hang');
  assert.equal(judge({ which: 'startup', warnAtMono: 100, basis: '' }, 1e9), 'warn');
});
