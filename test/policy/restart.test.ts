import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { newLedger } from '../../src/policy/ledger.js';
import type { State } from '../../src/policy/state.js';
import { code, exception, failure, killedBy, saved, steps } from './kit.js';
import { simulate, type Simulation } from './simulation.js';

const minute = 60_000;

describe('a run that is started again after it ended', () => {
  const afterTwoFailures = (): Simulation => {
    const sim = simulate();
    sim.folder = [saved(20)];
    sim.start();
    sim.exit({ failure: exception('same'), summary: steps(21, 30) });
    sim.exit({ failure: exception('same'), summary: steps(21, 30) });
    assert.equal(sim.state.ledger.retriesUsed, 2);
    return sim;
  };
  const ways: Record<'completed' | 'failed' | 'stopped', (sim: Simulation) => void> = {
    completed: (sim) => sim.exit({ exit: code(0), failure: failure('success'), summary: steps(21, 40) }),
    failed: (sim) => sim.exit({ failure: failure('exception', { ruled: 'fail' }), summary: steps(21, 30) }),
    stopped(sim) {
      sim.stop('request');
      sim.exit({ exit: killedBy('SIGTERM', 15), failure: failure('killed') });
    },
  };

  for (const [outcome, endIt] of Object.entries(ways)) {
    it(`${outcome}: next number, fresh budgets, repeats forgotten, timing remembered`, () => {
      const sim = afterTwoFailures();
      endIt(sim);
      assert.equal(sim.ended().outcome, outcome);
      const { timing } = sim.state.ledger;
      sim.pass(minute);
      sim.start();
      assert.equal(sim.launches.at(-1)?.attempt, 3);
      assert.equal(sim.launches.at(-1)?.lastFailure, undefined);
      const { ledger } = sim.state;
      const startedAt = sim.journal.findLast(({ type }) => type === 'started')?.at;
      assert.equal(startedAt, sim.ends[0]!.at + minute);
      assert.deepEqual(ledger, {
        ...newLedger(),
        attempt: 3,
        lastLaunched: 3,
        launched: 1,
        bootId: 'boot-1',
        everVerified: true,
        furthest: sim.folder.at(-1),
        timing,
        tally: { ...newLedger().tally, startedAt },
      });
      assert.equal(timing.everProgressed, true);
      // the same failure at the same step would have been the third
      sim.exit({ failure: exception('same'), summary: steps(21, 30) });
      assert.equal(sim.state.name, 'running');
    });
  }

  it('an emptied folder: a completed training begins again from nothing, one that failed does not', () => {
    for (const [outcome, endIt] of Object.entries(ways)) {
      const sim = afterTwoFailures();
      endIt(sim);
      const launched = sim.launches.length;
      sim.folder = [];
      sim.start();
      assert.equal(sim.launches.length, outcome === 'completed' ? launched + 1 : launched);
      if (outcome !== 'completed') assert.match(sim.ended().reason, /--allow-scratch/);
    }
  });

  it('another checkpoint folder: what the old one held says nothing of it', () => {
    const sim = afterTwoFailures();
    ways.failed(sim);
    sim.folder = [];
    sim.post({ type: 'started', bootId: 'boot-1', otherFolder: true });
    sim.settle();
    assert.equal(sim.state.name, 'running');
  });

  it('stopped by a person just after it went bad: what it saved from then on is not resumed from', () => {
    const sim = simulate();
    sim.folder = [saved(40, 'safe')];
    sim.start();
    sim.folder = [saved(40, 'safe'), saved(60)];
    sim.stop('interrupt');
    sim.exit({
      exit: killedBy('SIGINT', 2),
      failure: failure('stopped'),
      summary: steps(41, 65, { badStep: 50 }),
    });
    assert.equal(sim.ended().outcome, 'stopped');
    sim.start();
    assert.deepEqual(sim.quarantined, ['checkpoint-60']);
    assert.ok(sim.effects.some((effect) => effect.type === 'mark' && effect.standing === 'tainted'));
    assert.equal(sim.launches.at(-1)?.resume?.step, 40);
    assert.equal(sim.state.ledger.poisoned, undefined);
  });

  it('preempted: next number, the same budgets, repeats remembered', () => {
    const sim = afterTwoFailures();
    const { retriesUsed, totalRetries, failures, repeat, tally } = sim.state.ledger;
    sim.stop('preemption');
    sim.exit({ exit: killedBy('SIGTERM', 15), failure: failure('killed') });
    sim.pass(60 * minute);
    sim.start();
    assert.equal(sim.launches.at(-1)?.attempt, 3);
    const { ledger } = sim.state;
    assert.deepEqual(
      [ledger.retriesUsed, ledger.totalRetries, ledger.failures, ledger.repeat, ledger.tally.startedAt],
      [retriesUsed, totalRetries, failures, repeat, tally.startedAt],
    );
    sim.exit({ failure: exception('same'), summary: steps(21, 30) });
    assert.match(sim.ended().reason, /deterministic/);
  });

  it('numbers have no gap, though it was stopped before the next attempt was launched', () => {
    const sim = simulate();
    sim.hold('wait');
    sim.start();
    sim.exit({ failure: exception(), summary: steps(1, 5) });
    assert.equal(sim.state.name, 'backing-off');
    sim.stop('preemption');
    sim.start();
    sim.exit({ failure: exception(), summary: steps(1, 5) });
    sim.stop('interrupt');
    sim.start();
    assert.deepEqual(
      sim.launches.map(({ attempt }) => attempt),
      [0, 1, 2],
    );
  });

  it('numbers go on, though it was stopped again before it launched anything', () => {
    const sim = simulate();
    sim.start();
    sim.stop();
    sim.exit({ failure: failure('killed') });
    for (let n = 0; n < 2; n++) {
      sim.hold('inspect');
      sim.start();
      sim.stop();
    }
    sim.release();
    sim.start();
    assert.deepEqual(
      sim.launches.map(({ attempt }) => attempt),
      [0, 1],
    );
  });

  it('measures how far is far by what is in the folder now', () => {
    const sim = simulate();
    sim.folder = [saved(900)];
    sim.start();
    sim.stop();
    sim.exit({ failure: failure('killed') });
    sim.folder = [saved(20)];
    sim.start();
    sim.exit({ failure: exception(), summary: steps(21, 30) });
    sim.progress(21, 45, [40]);
    assert.equal(sim.state.ledger.retriesUsed, 0);
  });

  it('still knows that there were good checkpoints', () => {
    const sim = afterTwoFailures();
    sim.stop();
    sim.exit({ failure: failure('killed') });
    sim.folder = [];
    sim.start();
    assert.match(sim.ended().reason, /the checkpoint folder is empty/);
  });
});

describe('a supervisor that begins where another one died', () => {
  /** The state as the journal left it, and what a new supervisor makes of it: the effects of `started`. */
  const resumed = (hold: Parameters<Simulation['hold']>[0]): { sim: Simulation; before: State } => {
    const sim = simulate();
    sim.folder = [saved(20)];
    sim.start();
    sim.hold(hold);
    sim.folder.push(saved(40, 'corrupt'));
    sim.exit({ failure: exception(), summary: steps(21, 30) });
    return { sim, before: sim.state };
  };

  for (const [hold, name] of [
    ['inspect', 'inspecting'],
    ['roll-back', 'rolling-back'],
    ['wait', 'backing-off'],
    ['check-host', 'waiting'],
  ] as const) {
    it(`${name}: looks at the folder again, and goes on with the same attempt and budgets`, () => {
      const { sim, before } = resumed(hold);
      assert.equal(before.name, name);
      assert.deepEqual(sim.post({ type: 'started', bootId: 'boot-2' }), ['inspect']);
      assert.equal(sim.state.ledger.bootId, 'boot-2');
      assert.equal(sim.state.ledger.retriesUsed, before.ledger.retriesUsed);
      const dead = simulate();
      Object.assign(dead, { state: sim.state, folder: sim.folder });
      dead.post({ type: 'started', bootId: 'boot-2' });
      dead.settle();
      assert.equal(dead.state.name, 'running');
      assert.deepEqual(dead.launches, [
        {
          type: 'launch',
          attempt: 1,
          resume: { path: '/ckpts/checkpoint-20', step: 20 },
          lastFailure: 'exception',
        },
      ]);
      assert.equal(dead.state.ledger.retriesUsed, 1);
    });
  }

  it('with a worker under way: takes it in hand', () => {
    const sim = simulate();
    sim.start();
    const { at, mono } = sim.journal.at(-1)!;
    assert.deepEqual(sim.post({ type: 'started', bootId: 'boot-2' }), ['adopt']);
    assert.ok(sim.state.name === 'running');
    assert.deepEqual(sim.state.since, { at, mono });
  });
});

describe('what was lost, and what was kept', () => {
  it('steps done again are lost, with their share of the time; the first of all are not', () => {
    const sim = simulate();
    sim.start();
    sim.progress(1, 100, [50]);
    sim.exit({ failure: exception('a'), summary: steps(1, 100) });
    sim.progress(51);
    const { tally } = sim.state.ledger;
    assert.deepEqual([tally.lostSteps, tally.lostMs, tally.trainedMs], [50, 50_000, 100_000]);
    sim.progress(60);
    assert.deepEqual(sim.state.ledger.tally, tally, 'counted once an attempt');
    sim.exit({ exit: code(0), failure: failure('success'), summary: steps(51, 120) });
    const { lostSteps, lostMs, trainedMs } = sim.ended().ledger.tally;
    assert.deepEqual([lostSteps, lostMs, trainedMs], [50, 50_000, 170_000]);
  });

  it('an attempt that made no step does not hide what the one before it lost', () => {
    const sim = simulate();
    sim.start();
    sim.exit({ failure: exception('a'), summary: steps(1, 100) });
    sim.exit({ failure: exception('b'), summary: steps() });
    sim.progress(1);
    assert.equal(sim.state.ledger.tally.lostSteps, 100);
  });

  it('is counted too where the progress was told only with the end', () => {
    const sim = simulate();
    sim.start();
    sim.exit({ failure: exception('a'), summary: steps(1, 10) });
    sim.exit({ failure: exception('b'), summary: steps(5, 8) });
    assert.equal(sim.state.ledger.tally.lostSteps, 6);
    assert.equal(sim.state.ledger.timing.everProgressed, true);
  });

  it('where no step is known, nothing is said to be lost', () => {
    const sim = simulate();
    sim.start();
    sim.exit({ failure: exception('a'), summary: steps(1, 10) });
    sim.post({ type: 'progressed', summary: { heartbeats: 1, startMs: 5, longestPhaseMs: {} } });
    assert.equal(sim.state.ledger.tally.lostSteps, 0);
  });

  it('the longest of each time is remembered over attempts', () => {
    const sim = simulate();
    sim.start();
    const slow = steps(1, 5, {
      startMs: 9000,
      longestIntervalMs: 400,
      longestPhaseMs: { eval: 70, checkpoint: 10 },
    });
    sim.exit({ failure: exception('a'), summary: slow });
    sim.exit({
      failure: exception('b'),
      summary: steps(1, 6, { longestIntervalMs: 500, longestPhaseMs: { checkpoint: 20 } }),
    });
    sim.exit({ failure: exception('c'), summary: steps() });
    assert.deepEqual(sim.state.ledger.timing, {
      everProgressed: true,
      longestStartMs: 9000,
      longestIntervalMs: 500,
      longestPhaseMs: { eval: 70, checkpoint: 20 },
    });
  });
});
