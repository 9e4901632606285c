import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bootedAt, newLedger } from '../../src/policy/ledger.js';
import { code, exception, failure, saved, steps } from './kit.js';
import { simulate, type Simulation } from './simulation.js';

const again = { type: 'started', bootId: 'boot-1' } as const;
const adopted = { type: 'adopted', pid: 1000, alive: true, unwatchedMs: 60_000 } as const;
const hang = {
  type: 'deadline',
  which: 'silence',
  silentMs: 600_000,
  basis: 'a timeout of 10m',
} as const;

function running(): Simulation {
  const sim = simulate();
  sim.start();
  assert.equal(sim.state.name, 'running');
  return sim;
}

describe('an attempt whose supervisor died', () => {
  it('goes on: nothing is launched beside it, and its end is judged as ever', () => {
    const sim = running();
    assert.deepEqual(sim.post(again), ['adopt']);
    assert.deepEqual(sim.post(adopted), []);
    sim.exit({ exit: code(0), failure: failure('success'), summary: steps(1, 100) });
    assert.equal(sim.ended().outcome, 'completed');
    assert.equal(sim.launches.length, 1);
  });

  it('is not stopped for what a person asked of the dead one: who runs the run again wants it to go on', () => {
    const sim = running();
    sim.post({ type: 'stop-requested', by: 'terminate' });
    assert.deepEqual(sim.post(again), ['adopt']);
    sim.post(adopted);
    assert.equal(sim.state.name, 'running');
    sim.exit({ failure: failure('killed'), summary: steps(1, 10) });
    assert.equal(sim.state.name, 'running', 'it goes on');
    const { attempt, totalFailures, retriesUsed } = sim.state.ledger;
    assert.deepEqual(
      [attempt, totalFailures, retriesUsed],
      [1, 0, 0],
      'that was our doing, and costs nothing',
    );
  });

  it('ends with 0 of a stop that was begun: that is no success, unless its last step was reached', () => {
    for (const [reached, wanted] of [
      [false, 'running'],
      [true, 'ended'],
    ] as const) {
      const sim = running();
      sim.post({ type: 'stop-requested', by: 'preemption' });
      sim.post(again);
      sim.post(adopted);
      const summary = steps(1, 10, { totalSteps: reached ? 10 : 100 });
      sim.exit({ exit: code(0), failure: failure('success'), summary });
      assert.equal(sim.state.name, wanted);
    }
  });

  it('outlives the grace of a stop that was begun: from then on it is judged as any other', () => {
    const sim = running();
    sim.post({ type: 'stop-requested', by: 'terminate' });
    sim.post(again);
    sim.post(adopted);
    sim.pass(3_600_000);
    sim.exit({ exit: code(0), failure: failure('success'), summary: steps(1, 10) });
    assert.equal(sim.ended().outcome, 'completed');
  });

  it('was being stopped for a hang: it still is, and as urgently', () => {
    const sim = running();
    sim.post(hang);
    sim.post({ type: 'stop-forced' });
    assert.deepEqual(sim.post(again), ['adopt', 'stop-worker', 'kill-worker']);
    assert.equal(sim.state.name, 'stopping');
  });

  it('a stop that comes before it is in hand again stops it', () => {
    const sim = running();
    sim.post(again);
    assert.deepEqual(sim.post({ type: 'stop-requested', by: 'interrupt' }), ['stop-worker']);
    sim.post(adopted);
    sim.exit({ failure: failure('killed'), summary: steps(1, 10) });
    assert.deepEqual([sim.ended().outcome, sim.ended().exitCode], ['stopped', 130]);
  });
});

describe('a launch that never came to be', () => {
  it('costs nothing: the folder is looked at again, and the next number is launched', () => {
    const sim = simulate();
    sim.hold('launch');
    sim.start();
    const { launched: before } = sim.state.ledger;
    const next = simulate();
    next.state = sim.state;
    assert.deepEqual(next.post(again), ['adopt']);
    assert.deepEqual(next.post({ type: 'launch-abandoned' }), ['inspect']);
    next.settle();
    assert.deepEqual(
      next.launches.map(({ attempt }) => attempt),
      [1],
    );
    const { launched, retriesUsed, totalFailures } = next.state.ledger;
    assert.deepEqual([launched, retriesUsed, totalFailures], [before, 0, 0]);
  });
});

describe('clocks', () => {
  const hour = 3_600_000;
  const ledger = { ...newLedger(), bootId: 'boot-1', outageSince: { at: 10 * hour, mono: 5 * hour } };

  it('within a boot a jump of the wall clock is nothing', () => {
    const jumped = { at: 90 * hour, mono: 6 * hour, bootId: 'boot-1' };
    assert.equal(bootedAt(ledger, jumped), ledger);
  });

  it('on another boot as much time has passed as the wall clock says', () => {
    const { outageSince } = bootedAt(ledger, { at: 12 * hour, mono: 0, bootId: 'boot-2' });
    assert.deepEqual(outageSince, { at: 10 * hour, mono: -2 * hour });
  });

  it('a wall clock that went back makes no time of it', () => {
    const { outageSince } = bootedAt(ledger, { at: 3 * hour, mono: 7, bootId: 'boot-2' });
    assert.deepEqual(outageSince, { at: 10 * hour, mono: 7 });
  });
});

describe('stop after the next checkpoint', () => {
  const ask = { type: 'stop-requested', by: 'request', atCheckpoint: true } as const;
  const complete = { type: 'checkpoint-verified', checkpoint: saved(60), fresh: true } as const;

  it('lets the training go on until one becomes complete', () => {
    const sim = running();
    assert.deepEqual(sim.post(ask), []);
    const { fresh: _no, ...old } = complete;
    assert.deepEqual(sim.post(old), [], 'one that was there before does not count');
    assert.deepEqual(sim.post(complete), ['stop-worker']);
    sim.exit({ failure: failure('killed'), summary: steps(1, 60) });
    assert.deepEqual([sim.ended().outcome, sim.ended().exitCode], ['stopped', 143]);
  });

  it('a second request without it stops now', () => {
    const sim = running();
    sim.post(ask);
    assert.deepEqual(sim.post({ type: 'stop-requested', by: 'request' }), ['stop-worker']);
  });

  it('a training that completes first is completed', () => {
    const sim = running();
    sim.post(ask);
    sim.exit({ exit: code(0), failure: failure('success'), summary: steps(1, 100) });
    assert.equal(sim.ended().outcome, 'completed');
  });

  for (const [how, fails] of [
    ['fails', (sim: Simulation) => sim.exit({ failure: exception('a'), summary: steps(1, 10) })],
    ['hangs', (sim: Simulation) => sim.hang(steps(1, 10))],
  ] as const) {
    it(`a training that ${how} first is stopped, not tried again; the failure is noted`, () => {
      const sim = running();
      sim.post(ask);
      fails(sim);
      assert.equal(sim.ended().outcome, 'stopped');
      assert.equal(sim.lastFailure().action, 'stopped before a retry');
      assert.equal(sim.launches.length, 1);
    });
  }

  it('where nothing runs there is nothing to wait for', () => {
    const sim = simulate();
    sim.hold('wait');
    sim.start();
    sim.exit({ failure: exception('a'), summary: steps(1, 10) });
    assert.equal(sim.state.name, 'backing-off');
    sim.post(ask);
    assert.equal(sim.ended().outcome, 'stopped');
  });
});
