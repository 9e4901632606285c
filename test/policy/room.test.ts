import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { roomToSave } from '../../src/policy/checkpoint.js';
import type { Event } from '../../src/policy/event.js';
import type { State } from '../../src/policy/state.js';
import { initialState, transition } from '../../src/policy/transition.js';
import { policy, saved } from './kit.js';

const now = { at: 1_700_000_000_000, mono: 5_000_000 };
const lacks = '1.2 GiB of free space for the checkpoint folder /ckpts (0.3 GiB there)';
const inspected = (change: Partial<Extract<Event, { type: 'inspected' }>> = {}): Event => ({
  ...now,
  ...{ type: 'inspected', checkpoints: [saved(40)], guessed: false, jitter: 0.5, lacks },
  ...change,
});
const started = (): State =>
  transition(policy(), initialState(), { ...now, type: 'started', bootId: 'boot-1' }).state;

describe('no attempt starts that cannot save', () => {
  it('the first too waits for the room, and is launched once it is there', () => {
    const waiting = transition(policy(), started(), inspected());
    assert.equal(waiting.state.name, 'waiting');
    assert.deepEqual(waiting.effects, [{ type: 'check-host', after: 'storage' }]);
    const ready = transition(policy(), waiting.state, { ...now, type: 'host-ready' });
    assert.equal(ready.state.name, 'starting');
    assert.deepEqual(
      ready.effects.map((effect) => effect.type === 'launch' && effect.resume?.step),
      [40],
    );
  });

  it('gives up after the outage window, saying what for', () => {
    const { state } = transition(policy(), started(), inspected());
    const late = { at: now.at, mono: now.mono + policy().outageWindowMs + 1 };
    const { state: ended } = transition(policy(), state, {
      ...late,
      type: 'host-not-ready',
      waitingFor: lacks,
    });
    assert.ok(ended.name === 'ended' && ended.outcome === 'failed');
    assert.equal(ended.reason, `gave up: waited in vain for ${lacks}`);
  });

  it('a person who stops it meanwhile is obeyed', () => {
    const { state } = transition(policy(), started(), inspected());
    const stopped = transition(policy(), state, { ...now, type: 'stop-requested', by: 'interrupt' });
    assert.ok(stopped.state.name === 'ended' && stopped.state.outcome === 'stopped');
  });

  it('a damaged newest one is moved away first, then the room is looked at', () => {
    const checkpoints = [saved(40), saved(60, 'corrupt')];
    const rolling = transition(policy(), started(), inspected({ checkpoints }));
    assert.deepEqual(rolling.effects.map(({ type }) => type), ['roll-back']); // prettier-ignore
    const after = transition(policy(), rolling.state, {
      ...now,
      type: 'rolled-back',
      quarantined: ['checkpoint-60'],
    });
    assert.deepEqual(after.effects, [{ type: 'check-host', after: 'storage' }]);
  });

  it('what is written over the last one needs none besides; what is not, does', () => {
    const last = saved(40, 'verified', { id: 'last.ckpt', inPlace: true });
    assert.equal(roomToSave([last]), undefined);
    assert.equal(roomToSave([saved(30, 'safe', { sizeBytes: 700 }), last]), 700);
    assert.equal(roomToSave([saved(30), saved(50, 'corrupt', { sizeBytes: 1 })]), 1024);
  });

  it('with room, or a size that nobody knows, it is launched at once', () => {
    const { lacks: _none, ...enough } = inspected() as Extract<Event, { type: 'inspected' }>;
    assert.equal(transition(policy(), started(), enough).state.name, 'starting');
  });
});
