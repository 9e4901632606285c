import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CheckpointFact } from '../../src/policy/checkpoint.js';
import type { Event } from '../../src/policy/event.js';
import { newLedger, noteAttempt } from '../../src/policy/ledger.js';
import { putBack } from '../../src/policy/not-resumed.js';
import type { State } from '../../src/policy/state.js';
import { transition } from '../../src/policy/transition.js';
import { failure, killedBy, policy, saved, steps } from './kit.js';

const now = { at: 1_700_000_000_000, mono: 5_000_000 };
const reason = 'it began at step 1';
const found: Event = {
  ...now,
  type: 'unhealthy',
  finding: { kind: 'not-resumed', step: 1, reason, advice: 'give it --resume' },
};
const running: State = {
  name: 'running',
  pid: 7,
  since: now,
  resume: saved(40),
  ledger: { ...newLedger(), launched: 1, lastLaunched: 0, furthest: saved(40), everVerified: true },
};
const exited: Event = {
  ...now,
  type: 'exited',
  exit: killedBy('SIGKILL', 9),
  failure: failure('killed'),
  summary: steps(1, 2),
};
const inspected = (...checkpoints: readonly CheckpointFact[]): Event => ({
  ...now,
  type: 'inspected',
  checkpoints,
  guessed: false,
  jitter: 0.5,
});

/** The states and effects of one event after the other. */
function after(
  events: readonly Event[],
  change: Parameters<typeof policy>[0] = {},
): ReturnType<typeof transition> {
  let step: ReturnType<typeof transition> = { state: running, effects: [] };
  for (const event of events) step = transition(policy(change), step.state, event);
  return step;
}

describe('an attempt that did not resume', () => {
  it('is killed at once: a script that saves when it is asked to stop would save its new beginning', () => {
    const { state, effects } = after([found]);
    assert.deepEqual(effects, [{ type: 'kill-worker' }]);
    assert.equal(state.name === 'stopping' && state.cause.type, 'not-resumed');
  });

  it('is only warned of if so configured', () => {
    const { state, effects } = after([found], { health: { ...policy().health, notResumed: 'warn' } });
    assert.deepEqual(effects, []);
    assert.equal(state.name === 'running' && state.warning, reason);
  });

  it('is given up with the advice, exit 1, the folder being as it was', () => {
    const { state } = after([found, exited, inspected(saved(20), saved(40))]);
    assert.ok(state.name === 'ended');
    assert.equal(state.exitCode, 1);
    assert.match(state.reason, /does not resume/);
    const [record] = state.ledger.failures;
    assert.equal(record?.kind, 'not-resumed');
    assert.equal(record.reason, reason);
    assert.equal(record.advice, 'give it --resume');
  });

  it('has its saves moved away first, and what they overwrote put back', () => {
    const anew = saved(2, 'verified', { modifiedAt: 9_000_000 });
    const rolling = after([found, exited, inspected(anew, saved(40))]);
    assert.deepEqual(rolling.effects[0], {
      type: 'roll-back',
      target: 'checkpoint-40',
      moves: ['checkpoint-2'],
      reason: 'the training began anew and saved over what it was to go on from',
    });
    const done: Event = { ...now, type: 'rolled-back', quarantined: ['checkpoint-2'] };
    const { state } = transition(policy(), rolling.state, done);
    assert.ok(state.name === 'ended' && state.exitCode === 1);
    assert.deepEqual(state.ledger.failures[0]?.quarantined, ['checkpoint-2']);
    // that it saved is not getting further
    assert.equal(state.ledger.furthest?.step, 40);
  });

  it('is given up all the same where the folder cannot be put in order', () => {
    const anew = saved(2, 'verified', { modifiedAt: 9_000_000 });
    const rolling = after([found, exited, inspected(anew, saved(40))]);
    const { state } = transition(policy(), rolling.state, {
      ...now,
      type: 'rollback-failed',
      reason: 'EROFS',
    });
    assert.ok(state.name === 'ended');
    assert.match(state.reason, /does not resume.*the rollback failed: EROFS/);
  });
});

describe('steps that count anew', () => {
  it('are learned from an attempt whose steps went back', () => {
    const event: Event = {
      ...now,
      type: 'unhealthy',
      finding: { kind: 'step-went-back', step: 1, reason: 'back' },
    };
    assert.equal(transition(policy(), running, event).state.ledger.timing.stepsRestart, true);
  });
  it('are learned from one that began low and trained on past its checkpoint', () => {
    const learned = (first: number, last: number): true | undefined =>
      noteAttempt(newLedger(), steps(first, last), saved(40)).timing.stepsRestart;
    assert.equal(learned(1, 60), true);
    assert.equal(learned(1, 3), undefined);
    assert.equal(learned(41, 60), undefined);
  });
  it('and so is the epoch that attempts begin with', () => {
    const once = noteAttempt(newLedger(), steps(1, 5, { firstEpoch: 2 }), undefined);
    assert.equal(noteAttempt(once, steps(1, 5, { firstEpoch: 4 }), undefined).timing.firstEpoch, 2);
  });
});

describe('putting a folder back', () => {
  const anew = saved(2, 'verified', { id: 'checkpoint-2', modifiedAt: 9_000_000 });
  const overwritten = saved(1, 'verified', { id: 'ckpt.pt', modifiedAt: 9_000_000 });
  const spare = saved(40, 'verified', { id: 'ckpt.pt@40', spare: true });
  const inPlace = saved(40, 'verified', { id: 'ckpt.pt', path: spare.path });
  const back = (checkpoints: readonly CheckpointFact[], from = saved(40), change = {}): unknown => {
    const answer = putBack({ checkpoints, guessed: false, rollbackEnabled: true, from, ...change });
    return answer && [answer.target.id, ...answer.moves];
  };

  it('is nothing to do where nothing was saved', () => assert.equal(back([saved(20), saved(40)]), undefined));
  it('moves what was saved, newest first, and leaves older ones', () => {
    const newest = { ...anew, id: 'checkpoint-4', modifiedAt: 9_000_001 };
    assert.deepEqual(back([anew, newest, saved(20), saved(40)]), [
      'checkpoint-40',
      'checkpoint-4',
      'checkpoint-2',
    ]);
  });
  it('restores what was overwritten from its spare', () => {
    assert.deepEqual(back([spare, overwritten], inPlace), ['ckpt.pt@40', 'ckpt.pt']);
  });
  it('knows a spare that was put back for the attempt', () => {
    const between = { ...inPlace, modifiedAt: inPlace.modifiedAt + 0.0004 };
    assert.deepEqual(back([between, anew], spare), ['ckpt.pt', 'checkpoint-2']);
    assert.equal(back([between], spare), undefined);
  });
  it('changes nothing where there is nothing to go back to', () => {
    assert.equal(back([overwritten], inPlace), undefined);
    assert.equal(back([{ ...spare, standing: 'corrupt' }, overwritten], inPlace), undefined);
  });
  it('nor where it may not', () => {
    assert.equal(back([anew, saved(40)], saved(40), { rollbackEnabled: false }), undefined);
    assert.equal(back([{ ...anew, ours: false }, saved(40)], saved(40), { guessed: true }), undefined);
  });
});
