import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TimerWheel } from '../../src/recovery/timer-wheel.js';
import { chance } from './chance.js';

const slotMs = 50;
/** Longer than the ring: these wait for a later turn. */
const turnMs = 512 * slotMs;

test('a key is due at the end of its slot, never before its deadline', () => {
  const wheel = new TimerWheel(slotMs);
  wheel.set('a', 101);
  assert.deepEqual(wheel.due(100), []);
  assert.deepEqual(wheel.due(149), []);
  assert.deepEqual(wheel.due(150), ['a']);
  assert.deepEqual(wheel.due(10_000), []);
  assert.equal(wheel.size, 0);
});

test('setting again moves the deadline, later or earlier; deleting takes it away', () => {
  const wheel = new TimerWheel(slotMs);
  wheel.set('later', 100);
  wheel.set('later', 500);
  wheel.set('earlier', 500);
  wheel.set('earlier', 100);
  wheel.set('gone', 100);
  wheel.delete('gone');
  wheel.delete('never-there');
  assert.deepEqual(wheel.due(450), ['earlier']);
  assert.deepEqual(wheel.due(500), ['later']);
});

test('a deadline in the past is due at the next slot', () => {
  const wheel = new TimerWheel(slotMs);
  wheel.due(1000);
  wheel.set('a', 10);
  assert.deepEqual(wheel.due(1049), []);
  assert.deepEqual(wheel.due(1050), ['a']);
});

test('what lies several turns ahead waits for its own turn', () => {
  const wheel = new TimerWheel(slotMs);
  for (const turns of [0, 1, 2, 7]) wheel.set(`in ${turns}`, 1000 + turns * turnMs);
  for (const turns of [0, 1, 2, 7]) {
    const due = 1000 + turns * turnMs;
    assert.deepEqual(wheel.due(due - 1), []);
    assert.deepEqual(wheel.due(due), [`in ${turns}`]);
  }
});

test('after a pause of many turns all that is due comes, the earliest first', () => {
  const wheel = new TimerWheel(slotMs);
  wheel.due(0);
  wheel.set('third', 3 * turnMs + 50);
  wheel.set('second', turnMs + 100);
  wheel.set('first', turnMs + 50);
  wheel.set('not yet', 20 * turnMs);
  assert.deepEqual(wheel.due(10 * turnMs), ['first', 'second', 'third']);
  assert.equal(wheel.size, 1);
});

test('the clock may begin anywhere, also below zero', () => {
  for (const start of [-1e6 - 7, 0, 1e12 + 13]) {
    const wheel = new TimerWheel(slotMs);
    wheel.set('a', start + 1000);
    assert.deepEqual(wheel.due(start + 999), []);
    assert.deepEqual(wheel.due(start + 1000 + slotMs), ['a']);
  }
});

test('as a plain list of deadlines says, over random steps', () => {
  const random = chance(7);
  const wheel = new TimerWheel(slotMs);
  const plain = new Map<string, number>();
  let now = 0;
  for (let step = 0; step < 20_000; step++) {
    const key = `k${Math.floor(random() * 200)}`;
    const what = random();
    if (what < 0.6) {
      const due = now + random() * (random() < 0.1 ? 3 * turnMs : 2000);
      wheel.set(key, due);
      plain.set(key, due);
    } else if (what < 0.7) {
      wheel.delete(key);
      plain.delete(key);
    } else {
      now += random() * (random() < 0.01 ? 2 * turnMs : 120);
      const given = wheel.due(now);
      for (const one of given) {
        assert.ok(plain.get(one)! <= now, `${one} came before its deadline`);
        plain.delete(one);
      }
      const late = [...plain].filter(([, due]) => due + slotMs <= now);
      assert.deepEqual(late, [], 'these were not handed out in time');
      assert.equal(wheel.size, plain.size);
    }
  }
});

test('ten thousand keys that are moved on at every heartbeat are not looked at until they are due', () => {
  const wheel = new TimerWheel(slotMs);
  for (let now = 0; now < 60_000; now += 5000) {
    for (let key = 0; key < 10_000; key++) wheel.set(`k${key}`, now + 15_000);
    assert.deepEqual(wheel.due(now), []);
  }
  assert.equal(wheel.due(55_000 + 15_000).length, 10_000);
});
