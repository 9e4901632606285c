import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FailureKind } from '../../src/failure/types.js';
import type { CheckpointFact, Standing } from '../../src/policy/checkpoint.js';
import type { Effect } from '../../src/policy/effect.js';
import type { Event, EventType, StopSource } from '../../src/policy/event.js';
import type { Policy } from '../../src/policy/policy.js';
import type { State, StateName } from '../../src/policy/state.js';
import { initialState, replay, transition } from '../../src/policy/transition.js';
import { code, deepFreeze, failure, killedBy, policy as defaults, saved, steps, throughJson } from './kit.js';

const kinds: readonly FailureKind[] = [
  ...['success', 'command', 'config', 'code', 'exception', 'numeric', 'gpu-memory', 'host-memory', 'gpu'],
  ...['network', 'storage', 'checkpoint', 'not-resumed', 'hang', 'preempted', 'stopped', 'killed', 'unknown'],
] as FailureKind[];
const standings: readonly Standing[] = [
  ...(['partial', 'complete', 'verified', 'verified', 'safe', 'tainted', 'suspect', 'corrupt'] as const),
];
const sources: readonly StopSource[] = ['interrupt', 'terminate', 'request', 'preemption', 'warning'];

/** Mulberry32: small, and the same everywhere. */
function randomFrom(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** What answers each effect; the rest of the events come by themselves. */
const answers: Record<Effect['type'], readonly EventType[]> = {
  inspect: ['inspected', 'inspected', 'inspected', 'inspection-failed'],
  'roll-back': ['rolled-back', 'rolled-back', 'rollback-failed'],
  undo: ['undone'],
  wait: ['backoff-elapsed'],
  'check-host': ['host-ready', 'host-ready', 'host-not-ready'],
  launch: ['launched', 'launched', 'launched', 'exited'],
  adopt: ['adopted', 'adopted', 'launch-abandoned', 'exited'],
  'stop-worker': ['exited'],
  'kill-worker': ['exited'],
  'dump-stacks': [],
  mark: [],
  tell: [],
  finish: ['started'],
};

/** Events without end: most answer what was asked for, some come when nobody expects them. */
function happenings(seed: number): (asked: readonly Effect[]) => Event {
  const random = randomFrom(seed);
  const upTo = (n: number): number => Math.floor(random() * n);
  const oneOf = <T>(list: readonly T[]): T => list[upTo(list.length)]!;
  const maybe = <T extends object>(value: T): T | object => (random() < 0.5 ? value : {});
  const chaos = oneOf([0.05, 0.3, 0.9]);
  let at = 1_700_000_000_000;
  const queue: EventType[] = [];

  const checkpoint = (): CheckpointFact =>
    saved(upTo(200), oneOf(standings), { ours: random() < 0.8, modifiedAt: upTo(1e6) });
  const summary = (): ReturnType<typeof steps> => {
    const first = upTo(100);
    const odd = maybe({ loss: oneOf([0.5, Number.NaN, Number.POSITIVE_INFINITY]) });
    return random() < 0.3 ? steps() : steps(first, first + upTo(100), odd);
  };
  const finding = (): Extract<Event, { type: 'unhealthy' }>['finding'] => ({
    kind: oneOf(['non-finite-loss', 'non-finite-grad-norm', 'loss-spike', 'step-went-back']),
    reason: 'bad',
    ...maybe({ step: upTo(200) }),
  });

  const make = (type: EventType): Event => {
    const now = { at, mono: at - 1_600_000_000_000 };
    const jitter = random();
    switch (type) {
      case 'started':
        return { ...now, type, bootId: `boot-${upTo(3)}` };
      case 'inspected': {
        const checkpoints = Array.from({ length: upTo(5) }, checkpoint);
        checkpoints.sort((a, b) => (a.step ?? 0) - (b.step ?? 0));
        return { ...now, type, checkpoints, guessed: random() < 0.2, jitter };
      }
      case 'inspection-failed':
        return { ...now, type, reason: 'EIO', jitter };
      case 'rolled-back':
        return { ...now, type, quarantined: ['checkpoint-1'], tx: 'tx' };
      case 'rollback-failed':
        return { ...now, type, reason: 'EACCES' };
      case 'undone':
        return { ...now, type, ...maybe({ left: 'EIO' }) };
      case 'code-noted':
        return { ...now, type, attempt: upTo(3), code: maybe({ head: 'abc' }) };
      case 'host-not-ready':
        return { ...now, type, waitingFor: 'memory' };
      case 'launched':
        return { ...now, type, pid: 2 + upTo(1000) };
      case 'adopted':
        return { ...now, type, pid: 2 + upTo(1000), alive: random() < 0.5, unwatchedMs: upTo(1e6) };
      case 'progressed':
        return { ...now, type, summary: summary() };
      case 'checkpoint-verified':
        return { ...now, type, checkpoint: checkpoint(), ...maybe({ fresh: true }) };
      case 'unhealthy':
        return { ...now, type, finding: finding() };
      case 'silence-warning':
        return { ...now, type, silentMs: upTo(1e6), basis: 'a timeout' };
      case 'deadline':
        return {
          ...now,
          type,
          which: oneOf(['startup', 'silence']),
          silentMs: upTo(1e6),
          basis: 'a timeout',
        };
      case 'stuck':
        return { ...now, type, pid: 7, wchan: 'nfs_wait' };
      case 'exited': {
        const exit = oneOf([code(0), code(1), killedBy('SIGKILL', 9), { type: 'unknown' } as const]);
        const ruled =
          random() < 0.1 ? { ruled: oneOf(['retry', 'fail', 'ignore', 'rollback'] as const) } : {};
        const named = { ...maybe({ fingerprint: oneOf(['a', 'b']) }), ...ruled };
        return { ...now, type, exit, failure: failure(oneOf(kinds), named), summary: summary() };
      }
      case 'stop-requested':
        return { ...now, type, by: oneOf(sources), ...maybe({ atCheckpoint: true }) };
      case 'backoff-elapsed':
      case 'host-ready':
      case 'launch-abandoned':
      case 'stop-forced':
        return { ...now, type };
    }
  };

  const anyType = (): EventType => {
    // a stop ends everything, so it comes less often than the rest
    const type = oneOf(everyType);
    return type.startsWith('stop-') && random() < 0.7 ? 'checkpoint-verified' : type;
  };
  return (asked) => {
    for (const { type } of asked) {
      const answer = answers[type];
      if (answer.length > 0) queue.push(oneOf(answer));
    }
    at += upTo(oneOf([1000, 60_000, 3_600_000]));
    const expected = random() < chaos ? undefined : queue.shift();
    if (expected === undefined && queue.length === 0 && random() < 0.3) return make('exited');
    return make(expected ?? anyType());
  };
}

const everyType = [
  ...([
    'started',
    'inspected',
    'inspection-failed',
    'rolled-back',
    'rollback-failed',
    'backoff-elapsed',
  ] as const),
  ...([
    'host-ready',
    'host-not-ready',
    'launched',
    'progressed',
    'checkpoint-verified',
    'unhealthy',
  ] as const),
  ...(['silence-warning', 'deadline', 'stuck', 'exited', 'stop-requested', 'stop-forced'] as const),
];

/** What must hold at every step of every run. */
function watchman(): (before: State, event: Event, after: State, effects: readonly Effect[]) => void {
  let alive = false;
  let stopAsked = false;
  let attempts = 0;
  return (before, event, after, effects) => {
    const count = (type: Effect['type']): number => effects.filter((effect) => effect.type === type).length;
    if (event.type === 'exited') alive = false;
    // who starts a run anew takes his stop back
    if (event.type === 'started') stopAsked = false;
    if (event.type === 'stop-requested' && before.name !== 'ended') stopAsked = true;
    for (const effect of effects) {
      if (effect.type !== 'launch') continue;
      assert.equal(alive, false, 'two attempts overlap');
      assert.equal(stopAsked, false, 'a launch although a stop was asked for');
      assert.equal(effect.attempt, attempts, 'attempts are numbered without a gap');
      alive = true;
      attempts++;
    }
    const ending = before.name !== 'ended' && after.name === 'ended';
    assert.equal(count('finish'), ending ? 1 : 0, 'finish exactly once per end');
    assert.ok(count('launch') + count('roll-back') + count('wait') + count('inspect') <= 1);
    const { ledger } = after;
    assert.ok(ledger.failures.length <= 50);
    assert.ok(ledger.lastLaunched === undefined ? attempts === 0 : ledger.lastLaunched === attempts - 1);
    if (after.name === 'ended' && after.outcome === 'failed') assert.notEqual(after.exitCode, 0);
  };
}

const everyState: Record<StateName, true> = {
  idle: true,
  inspecting: true,
  'rolling-back': true,
  'putting-back': true,
  'backing-off': true,
  waiting: true,
  starting: true,
  running: true,
  stopping: true,
  ended: true,
};

interface Story {
  readonly policy: Policy;
  readonly journal: readonly Event[];
  readonly state: State;
}

function live(seed: number, length: number, policy: Policy): Story {
  const next = happenings(seed);
  const check = watchman();
  const journal: Event[] = [];
  let state = initialState();
  let effects: readonly Effect[] = [{ type: 'finish' }];
  for (let n = 0; n < length; n++) {
    const event = next(effects);
    const step = transition(policy, state, event);
    check(state, event, step.state, step.effects);
    journal.push(event);
    ({ effects } = step);
    ({ state } = step);
  }
  return { policy, journal, state };
}

function policyOf(seed: number): Policy {
  const random = randomFrom(seed * 7919);
  return deepFreeze(
    defaults({
      maxRetries: Math.floor(random() * 12),
      rollbackEnabled: random() < 0.8,
      allowScratch: random() < 0.5,
      backoff: { initialMs: random() < 0.5 ? 0 : 10_000, factor: 2, maxMs: 300_000, jitter: 0.25 },
    }),
  );
}

describe('2,000 random runs', () => {
  const stories: Story[] = [];

  it('break no rule', () => {
    for (let seed = 1; seed <= 2000; seed++) stories.push(live(seed, 40, policyOf(seed)));
  });

  it('reach every state', () => {
    const seen = new Set<string>();
    for (const { policy, journal } of stories.slice(0, 200)) {
      let state = initialState();
      for (const event of journal) {
        ({ state } = transition(policy, state, event));
        seen.add(state.name);
      }
    }
    assert.equal(seen.size, Object.keys(everyState).length, [...seen].join());
  });

  it('replayed from the journal, with every event and every state through JSON, end the same', () => {
    for (const { policy, journal, state } of stories) {
      const events = throughJson(journal);
      let saved = initialState();
      for (const event of events) saved = throughJson(transition(policy, saved, event).state);
      assert.deepEqual(saved, state);
    }
  });

  it('replayed in two parts, end the same: a journal can be compacted into a state anywhere', () => {
    for (const { policy, journal, state } of stories.slice(0, 200)) {
      const half = throughJson(replay(policy, journal.slice(0, 30)));
      assert.deepEqual(replay(policy, journal.slice(30), half), state);
      assert.deepEqual(replay(policy, journal), state);
    }
  });
});

describe('a run of many thousand events', () => {
  it('keeps a state of bounded size, and breaks no rule', () => {
    const policy = deepFreeze(defaults({ maxRetries: 1_000_000, allowScratch: true, outageWindowMs: 1e12 }));
    for (const seed of [1, 2, 3, 4, 5]) {
      const { state } = live(seed, 5000, policy);
      assert.ok(JSON.stringify(state).length < 40_000);
    }
    for (const length of [400, 4000, 16_000]) {
      const { ledger } = replay(policy, crashes(length));
      assert.equal(ledger.failures.length, 50);
      assert.ok(JSON.stringify(ledger).length < 12_000);
    }
  });
});

/** Attempts that fail one after another, each with all that goes with it. */
function crashes(length: number): Event[] {
  const events: Event[] = [{ at: 0, mono: 0, type: 'started', bootId: 'boot' }];
  const inspected = { type: 'inspected', checkpoints: [], guessed: false, jitter: 0 } as const;
  for (let n = 1; events.length < length; n++) {
    const now = { at: n * 1000, mono: n * 1000 };
    events.push(
      { ...now, ...inspected },
      { ...now, type: 'host-ready' },
      { ...now, type: 'launched', pid: n },
      { ...now, type: 'exited', exit: code(1), failure: failure('unknown'), summary: steps(1, n) },
      { ...now, ...inspected },
      { ...now, type: 'backoff-elapsed' },
    );
  }
  return events;
}
