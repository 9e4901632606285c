import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Event } from '../../src/policy/event.js';
import type { State } from '../../src/policy/state.js';
import { transition } from '../../src/policy/transition.js';
import { deepFreeze, policy as defaults, throughJson } from './kit.js';
import { events, states, variantOf } from './samples.js';
import { type Cell, table } from './transition-table.js';

const policy = deepFreeze(defaults());
const entries = <T extends object>(record: T): [keyof T, T[keyof T]][] =>
  Object.entries(record) as [keyof T, T[keyof T]][];

/** One step, written as a cell of the table. */
function cellOf(before: State, event: Event): Cell {
  const { state, effects } = transition(policy, before, event);
  const variant = variantOf(state);
  const names = effects.map(({ type }) => type).join(', ');
  if (names !== '') return `${variant} → ${names}`;
  if (variant !== variantOf(before)) return variant;
  return JSON.stringify(state) === JSON.stringify(before) ? 'as it was' : 'changed';
}

describe('transition: every state × every event', () => {
  for (const [variant, sample] of entries(states)) {
    const before = deepFreeze(sample);

    it(variant, () => {
      assert.equal(variantOf(before), variant);
      const row = Object.fromEntries(entries(events).map(([type, event]) => [type, cellOf(before, event)]));
      assert.deepEqual(row, { ...table[variant] });
    });
  }

  it('is pure: frozen input, the same answer twice, and the same after a trip through JSON', () => {
    for (const [, before] of entries(states)) {
      for (const [, sample] of entries(events)) {
        const event = deepFreeze(sample);
        const once = transition(policy, deepFreeze(before), event);
        assert.deepEqual(transition(policy, before, event), once);
        assert.deepEqual(throughJson(once), once);
        assert.deepEqual(transition(throughJson(policy), throughJson(before), throughJson(event)), once);
      }
    }
  });

  it('throws on an event it does not know, which is a bug', () => {
    const unknown = { type: 'rebooted', at: 0, mono: 0 } as unknown as Event;
    assert.throws(() => transition(policy, states.running, unknown), /unreachable.*rebooted/);
  });
});
