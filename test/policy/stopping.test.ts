import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Effect } from '../../src/policy/effect.js';
import type { StopSource } from '../../src/policy/event.js';
import type { State, StateName } from '../../src/policy/state.js';
import { code, exception, failure, killedBy, saved, steps } from './kit.js';
import { simulate, type Simulation } from './simulation.js';

const statuses: Record<StopSource, readonly [outcome: string, status: number]> = {
  interrupt: ['stopped', 130],
  terminate: ['stopped', 143],
  request: ['stopped', 143],
  preemption: ['preempted', 75],
  warning: ['preempted', 75],
};
const sources = Object.keys(statuses) as StopSource[];

/** A run held in one state: the effect that would lead on is not answered. */
function heldAt(effect: Effect['type']): Simulation {
  const sim = simulate();
  sim.hold(effect);
  sim.folder = [saved(20), saved(40, 'corrupt')];
  return sim;
}

const reach: Record<
  Exclude<StateName, 'putting-back' | 'running' | 'stopping' | 'ended'>,
  () => Simulation
> = {
  idle: () => simulate(),
  inspecting() {
    const sim = heldAt('inspect');
    sim.start();
    return sim;
  },
  'rolling-back'() {
    const sim = heldAt('roll-back');
    sim.start();
    return sim;
  },
  'backing-off'() {
    const sim = heldAt('wait');
    sim.start();
    sim.exit({ failure: exception(), summary: steps(21, 25) });
    return sim;
  },
  waiting() {
    const sim = heldAt('check-host');
    sim.start();
    sim.exit({ failure: exception(), summary: steps(21, 25) });
    return sim;
  },
  starting() {
    const sim = heldAt('launch');
    sim.start();
    return sim;
  },
};

describe('a stop request where no worker is at work', () => {
  for (const [name, arrive] of Object.entries(reach)) {
    it(`${name}: ends at once or after what cannot be cut, and launches nothing`, () => {
      for (const by of sources) {
        const sim = arrive();
        assert.equal(sim.state.name, name);
        const launched = sim.launches.length;
        sim.stop(by);
        sim.release();
        if (name === 'starting')
          sim.exit({ exit: code(0), failure: failure('success'), summary: steps(1, 5) });
        assert.deepEqual([sim.ended().outcome, sim.ended().exitCode], statuses[by]);
        assert.equal(sim.launches.length, launched);
        assert.equal(sim.effects.filter(({ type }) => type === 'finish').length, 1);
      }
    });
  }

  it('rolling-back: the transaction is finished first', () => {
    const sim = reach['rolling-back']();
    sim.stop();
    assert.equal(sim.state.name, 'rolling-back');
    sim.release();
    assert.deepEqual(sim.quarantined, ['checkpoint-40']);
    assert.equal(sim.ended().outcome, 'stopped');
  });

  it('rolling-back, and the disk will not have it: ends all the same', () => {
    const sim = reach['rolling-back']();
    sim.rollbackError = 'EROFS';
    sim.stop();
    sim.release();
    assert.equal(sim.ended().outcome, 'stopped');
  });

  it('the first word counts: what comes after it does not change how the run ends', () => {
    for (const name of ['rolling-back', 'starting'] as const) {
      const sim = reach[name]();
      sim.stop('interrupt');
      sim.stop('preemption');
      sim.release();
      if (name === 'starting') sim.exit({ failure: exception() });
      assert.deepEqual([sim.ended().outcome, sim.ended().exitCode], statuses.interrupt);
    }
  });

  it('but a warning is only the first half of one', () => {
    for (const name of ['rolling-back', 'starting'] as const) {
      const sim = reach[name]();
      sim.stop('warning');
      sim.stop('interrupt');
      sim.release();
      if (name === 'starting') sim.exit({ failure: exception() });
      assert.deepEqual([sim.ended().outcome, sim.ended().exitCode], statuses.interrupt);
    }
  });

  it('while a failure is judged: it is recorded, and what it tainted is known at the next start', () => {
    const sim = simulate();
    sim.start();
    sim.folder = [saved(20), saved(40)];
    sim.hold('inspect');
    sim.goBad({ kind: 'non-finite-loss', step: 30, reason: 'the loss is NaN' }, steps(1, 41));
    sim.stop('preemption');
    assert.equal(sim.ended().ledger.totalFailures, 1);
    assert.equal(sim.lastFailure().action, 'stopped before a retry');
    sim.release();
    sim.start();
    assert.equal(sim.launches[1]?.resume?.step, 20);
  });

  it('does not undo a training that had completed', () => {
    for (const impatient of [false, true]) {
      const sim = simulate();
      sim.start();
      sim.hold('inspect');
      sim.exit({ exit: code(0), failure: failure('success'), summary: steps(1, 5) });
      sim.stop();
      if (impatient) sim.post({ type: 'stop-forced' });
      else sim.release();
      assert.deepEqual([sim.ended().outcome, sim.ended().exitCode], ['completed', 0]);
    }
  });
});

describe('a stop request to a living worker', () => {
  const stopped = (by: StopSource): Simulation => {
    const sim = simulate();
    sim.start();
    sim.progress(1);
    sim.stop(by);
    assert.equal(sim.state.name, 'stopping');
    return sim;
  };

  for (const by of sources) {
    it(`${by}: the stop ladder, then the end`, () => {
      const sim = stopped(by);
      assert.deepEqual(sim.effects.at(-1), {
        type: 'stop-worker',
        signal: by === 'interrupt' ? 'SIGINT' : 'SIGTERM',
        graceMs: 30_000,
        dumpStacks: false,
        preempted: by === 'warning',
      });
      sim.exit({ exit: killedBy('SIGTERM', 15), failure: failure('killed'), summary: steps(1, 5) });
      assert.deepEqual([sim.ended().outcome, sim.ended().exitCode], statuses[by]);
      assert.equal(sim.ended().ledger.totalFailures, 0);
    });

    it(`${by}: exit 0 is the end of the training only if it reached its last step`, () => {
      const exit = { exit: code(0), failure: failure('success') };
      const done = stopped(by);
      done.exit({ ...exit, summary: steps(1, 100, { totalSteps: 100 }) });
      assert.deepEqual([done.ended().outcome, done.ended().exitCode], ['completed', 0]);
      const early = stopped(by);
      early.exit({ ...exit, summary: steps(1, 99, { totalSteps: 100 }) });
      assert.deepEqual([early.ended().outcome, early.ended().exitCode], statuses[by]);
      const unknown = stopped(by);
      unknown.exit({ ...exit, summary: steps(1, 100) });
      assert.equal(unknown.ended().outcome, statuses[by][0]);
      const crashed = stopped(by);
      crashed.exit({ exit: code(1), failure: exception(), summary: steps(1, 100, { totalSteps: 100 }) });
      assert.equal(crashed.ended().outcome, statuses[by][0]);
    });
  }

  it('a second one kills, once', () => {
    const sim = stopped('terminate');
    assert.deepEqual(sim.post({ type: 'stop-forced' }), ['kill-worker']);
    assert.deepEqual(sim.post({ type: 'stop-forced' }), []);
    sim.exit({ exit: killedBy('SIGKILL', 9), failure: failure('killed') });
    assert.equal(sim.ended().exitCode, 143);
  });

  it('both before it was there: it is stopped and killed as soon as it is', () => {
    const sim = reach.starting();
    sim.stop('interrupt');
    sim.post({ type: 'stop-forced' });
    sim.release();
    assert.deepEqual(
      sim.effects.slice(-2).map(({ type }) => type),
      ['stop-worker', 'kill-worker'],
    );
  });

  it('while it is stopped for a hang, or for its health: the person’s word decides, nothing is sent twice', () => {
    const hang = { type: 'deadline', which: 'silence', silentMs: 1, basis: '' } as const;
    const bad = { type: 'unhealthy', finding: { kind: 'non-finite-loss', step: 3, reason: '' } } as const;
    for (const event of [hang, bad]) {
      for (const by of sources) {
        const sim = simulate();
        sim.start();
        sim.post(event);
        assert.deepEqual(sim.post({ type: 'stop-requested', by }), []);
        sim.exit({ exit: code(0), failure: failure('success'), summary: steps(1, 5) });
        assert.deepEqual([sim.ended().outcome, sim.ended().exitCode], statuses[by]);
      }
    }
  });

  it('never cuts a save: the grace is at least twice the longest seen', () => {
    const sim = simulate();
    sim.start();
    sim.exit({ failure: exception(), summary: steps(1, 5, { longestPhaseMs: { checkpoint: 40_000 } }) });
    sim.stop();
    const last = sim.effects.at(-1);
    assert.ok(last?.type === 'stop-worker' && last.graceMs === 80_000);
  });

  it('knows on, while it stops, what it resumed from and what could not be killed', () => {
    const sim = simulate();
    sim.folder = [saved(20)];
    sim.start();
    sim.post({ type: 'stuck', pid: 9, wchan: 'nfs_wait' });
    sim.pass(5000);
    sim.stop();
    const { at, mono } = sim.journal.at(-1)!;
    const { ledger: _ledger, ...state } = sim.state;
    assert.deepEqual(state, {
      name: 'stopping',
      pid: 1000,
      since: { at, mono },
      cause: { type: 'person', by: 'interrupt' },
      forced: false,
      resume: sim.folder[0],
      stuck: { pid: 9, wchan: 'nfs_wait' },
    });
  });

  it('a hang is stopped with a stack dump; a process that cannot be killed is named', () => {
    const sim = simulate();
    sim.start();
    sim.post({ type: 'deadline', which: 'startup', silentMs: 3_600_000, basis: 'the default' });
    const last = sim.effects.at(-1);
    assert.ok(last?.type === 'stop-worker' && last.dumpStacks);
    sim.post({ type: 'stuck', pid: 7, wchan: 'rpc_wait' });
    const state: State = sim.state;
    assert.ok(state.name === 'stopping');
    assert.deepEqual(state.stuck, { pid: 7, wchan: 'rpc_wait' });
    sim.exit({ failure: failure('unknown') });
    assert.match(sim.lastFailure().reason, /no progress within 1h 00m of its start/);
  });
});

describe('a worker that a person, or a scheduler, stopped past us', () => {
  it('ends as stopped', () => {
    const sim = simulate();
    sim.start();
    sim.exit({ exit: killedBy('SIGINT', 2), failure: failure('stopped', { reason: 'KeyboardInterrupt' }) });
    assert.deepEqual(
      [sim.ended().outcome, sim.ended().exitCode, sim.ended().reason],
      ['stopped', 130, 'KeyboardInterrupt'],
    );
  });

  it('ends as preempted', () => {
    const sim = simulate();
    sim.start();
    sim.exit({ failure: failure('preempted'), summary: steps(1, 5) });
    assert.deepEqual([sim.ended().outcome, sim.ended().exitCode], ['preempted', 75]);
  });

  it('unless a rule says to retry', () => {
    const sim = simulate();
    sim.start();
    sim.exit({ exit: killedBy('SIGINT', 2), failure: failure('stopped', { ruled: 'retry' }) });
    assert.equal(sim.state.name, 'running');
  });
});

describe('preemption', () => {
  it('a warning leaves time for one more checkpoint; the signal after it stops as any first one does', () => {
    const sim = simulate();
    sim.start();
    sim.stop('warning');
    sim.stop('preemption');
    const order = sim.effects.at(-1);
    assert.deepEqual(order?.type === 'stop-worker' && [order.signal, order.preempted], ['SIGTERM', false]);
    sim.stop('preemption');
    assert.equal(sim.effects.filter((effect) => effect.type === 'stop-worker').length, 2);
    sim.exit({ exit: killedBy('SIGTERM', 15), failure: failure('killed'), summary: steps(1, 5) });
    assert.deepEqual([sim.ended().outcome, sim.ended().exitCode], ['preempted', 75]);
  });

  const preempt = (sim: Simulation, summary = steps()): void => {
    sim.start();
    sim.stop('preemption');
    sim.exit({ exit: killedBy('SIGTERM', 15), failure: failure('killed'), summary });
  };

  it('exits 75 and goes on, free, however often, if the attempts progress', () => {
    const sim = simulate({ maxRetries: 0 });
    for (let n = 0; n < 20; n++) {
      preempt(sim, steps(n + 1, n + 2));
      assert.deepEqual([sim.ended().outcome, sim.ended().exitCode], ['preempted', 75]);
    }
    assert.deepEqual(
      sim.launches.map(({ attempt }) => attempt),
      Array.from({ length: 20 }, (_, n) => n),
    );
    assert.deepEqual([sim.state.ledger.retriesUsed, sim.state.ledger.totalFailures], [0, 0]);
  });

  it('the fifth in a row without progress fails', () => {
    const sim = simulate();
    for (let n = 0; n < 4; n++) {
      preempt(sim);
      assert.equal(sim.ended().outcome, 'preempted');
    }
    preempt(sim);
    assert.deepEqual([sim.ended().outcome, sim.ended().exitCode], ['failed', 1]);
    assert.match(sim.ended().reason, /preempted 5 times in a row without any progress/);
  });

  it('fails with 1, not with the status of an earlier failure', () => {
    const sim = simulate();
    sim.start();
    sim.exit({ exit: code(7), failure: exception() });
    for (let n = 0; n < 5; n++) {
      if (sim.state.name !== 'running') sim.start();
      sim.stop('preemption');
      sim.exit({ exit: killedBy('SIGTERM', 15), failure: failure('killed') });
    }
    assert.deepEqual([sim.ended().outcome, sim.ended().exitCode], ['failed', 1]);
    assert.equal(sim.ended().at, sim.journal.at(-1)?.at);
  });

  it('progress ends the row, also that of an attempt which then crashed', () => {
    const sim = simulate();
    for (let n = 0; n < 4; n++) preempt(sim);
    sim.start();
    sim.exit({ failure: exception(), summary: steps(1, 5) });
    sim.stop('preemption');
    sim.exit({ exit: code(0), failure: failure('success') });
    assert.deepEqual([sim.ended().outcome, sim.ended().ledger.freePreemptions], ['preempted', 1]);
  });

  it('before the worker was there counts as one without progress', () => {
    const sim = reach.starting();
    sim.stop('preemption');
    sim.exit({ failure: failure('killed') });
    assert.equal(sim.ended().ledger.freePreemptions, 1);
  });
});
