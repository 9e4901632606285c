import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isFurther, type CheckpointFact, type Standing } from '../../src/policy/checkpoint.js';
import type { HealthFinding } from '../../src/progress/types.js';
import { code, exception, failure, saved, savedWithoutStep, stepless, steps } from './kit.js';
import { simulate, type Simulation } from './simulation.js';

const hour = 3_600_000;
const nan = (step?: number): HealthFinding => ({
  kind: 'non-finite-loss',
  reason: 'the loss is NaN',
  ...(step !== undefined && { step }),
});
const types = (sim: Simulation): string[] => sim.effects.map(({ type }) => type);

describe('a training that goes bad', () => {
  it('goes back to the newest safe checkpoint before the bad step, taints what came after, says what to skip', () => {
    const sim = simulate();
    sim.start();
    sim.folder = [saved(20, 'safe'), saved(40, 'safe'), saved(60), saved(80)];
    sim.goBad(nan(75), steps(1, 81));
    assert.deepEqual(
      sim.effects.filter(({ type }) => type === 'mark'),
      [{ type: 'mark', id: 'checkpoint-80', standing: 'tainted', why: 'the loss is NaN' }],
    );
    assert.deepEqual(sim.quarantined, ['checkpoint-80', 'checkpoint-60']);
    assert.deepEqual(sim.launches[1], {
      type: 'launch',
      attempt: 1,
      resume: { path: '/ckpts/checkpoint-40', step: 40 },
      lastFailure: 'numeric',
      hints: { failStep: 75, skipFromStep: 40, skipToStep: 75 },
    });
    const { kind, badStep, action } = sim.lastFailure();
    assert.deepEqual([kind, badStep, action], ['numeric', 75, 'retry 1 of 3']);
    assert.match(sim.lastFailure().advice ?? '', /learning rate/);
  });

  it('else to the newest verified one before it, and never to one at it', () => {
    const sim = simulate();
    sim.start();
    sim.folder = [saved(20), saved(40), saved(60), saved(75)];
    sim.hold('roll-back');
    sim.goBad(nan(60), steps(1, 80));
    assert.ok(sim.state.name === 'rolling-back');
    const reason =
      'the training was bad from step 60 on; none before it is proven safe, so this is the newest verified one';
    assert.equal(sim.state.reason, reason);
    assert.deepEqual(sim.effects.slice(-3), [
      { type: 'mark', id: 'checkpoint-60', standing: 'tainted', why: 'the loss is NaN' },
      { type: 'mark', id: 'checkpoint-75', standing: 'tainted', why: 'the loss is NaN' },
      {
        type: 'roll-back',
        target: 'checkpoint-40',
        moves: ['checkpoint-75', 'checkpoint-60'],
        reason,
      },
    ]);
    assert.equal(sim.state.ledger.furthest?.step, 40);
  });

  it('goes by the numbers of names where no step was seen', () => {
    const unseen = [saved(20), saved(40), saved(60)].map(({ step: _step, ...fact }) => fact);
    const sim = simulate();
    sim.start();
    sim.folder = unseen;
    sim.goBad(nan(50), steps(1, 61));
    const launch = sim.launches[1];
    assert.deepEqual(launch?.resume, { path: '/ckpts/checkpoint-40', step: 40 });
    assert.deepEqual(launch.hints, { failStep: 50, skipFromStep: 40, skipToStep: 50 });
    assert.deepEqual(sim.lastFailure().rolledBackTo, { id: 'checkpoint-40', step: 40 });
  });

  it('marks what it tainted once, though it cannot be moved', () => {
    const sim = simulate({ rollbackEnabled: false });
    sim.start();
    sim.folder = [saved(20), saved(40)];
    sim.goBad(nan(30), steps(1, 41));
    assert.equal(sim.effects.filter(({ type }) => type === 'mark').length, 1);
  });

  it('that ends by itself was bad from where it was seen, else at its last step; a rule to retry just retries', () => {
    const folder = [saved(20), saved(40), saved(60)];
    const exit = { exit: code(3), summary: steps(1, 60) };
    const sim = simulate();
    sim.start();
    sim.folder = folder;
    sim.exit({ ...exit, failure: failure('numeric') });
    assert.equal(sim.launches[1]?.resume?.step, 40);

    const seen = simulate();
    seen.start();
    seen.folder = folder;
    seen.exit({ ...exit, failure: failure('numeric'), summary: steps(1, 60, { badStep: 35 }) });
    assert.deepEqual([seen.launches[1]?.resume?.step, seen.lastFailure().badStep], [20, 35]);

    const ruled = simulate();
    ruled.start();
    ruled.folder = folder;
    ruled.exit({ ...exit, failure: failure('numeric', { ruled: 'retry' }) });
    assert.equal(ruled.launches[1]?.resume?.step, 60);
  });

  it('does not refill the budget by what it saved while it was bad', () => {
    const sim = simulate({ maxRetries: 2 });
    sim.folder = [saved(20)];
    sim.start();
    for (let n = 0; n < 3; n++) {
      assert.equal(sim.state.name, 'running');
      sim.post({ type: 'unhealthy', finding: nan(30 + n) });
      const late = saved(35 + n);
      sim.folder.push(late);
      sim.post({ type: 'checkpoint-verified', checkpoint: late });
      sim.exit({ exit: code(0), failure: failure('success'), summary: steps(21, 36 + n) });
    }
    assert.equal(sim.ended().outcome, 'failed');
    assert.deepEqual(
      sim.folder.map(({ id, standing }) => [id, standing]),
      [
        ['checkpoint-20', 'verified'],
        ['checkpoint-37', 'tainted'],
      ],
      'tainted on giving up too',
    );
  });

  it('without steps keeps to the newest, and does not refill the budget for ever', () => {
    const sim = simulate({ maxRetries: 3 });
    sim.start();
    for (let n = 0; n < 4; n++) {
      assert.equal(sim.state.name, 'running');
      sim.folder.push(savedWithoutStep(`save-${n}`, 5000 + n));
      sim.goBad(nan(), stepless());
    }
    assert.equal(sim.ended().outcome, 'failed');
    assert.equal(sim.launches[3]?.resume?.path, '/ckpts/save-2');
    assert.deepEqual([sim.launches[3].hints, sim.quarantined], [undefined, []]);
  });

  it('without steps goes by the time of the first bad numbers', () => {
    const sim = simulate();
    sim.folder = [savedWithoutStep('a', 1000), savedWithoutStep('b', 2000), savedWithoutStep('c', 3000)];
    sim.start();
    sim.goBad({ kind: 'non-finite-loss', at: 2500, reason: 'the loss is NaN' }, stepless());
    assert.equal(sim.launches[1]?.resume?.path, '/ckpts/b');
    assert.deepEqual(sim.quarantined, ['c']);
    const marks = sim.effects.flatMap((effect) => (effect.type === 'mark' ? [effect.id] : []));
    assert.deepEqual(marks, ['c']);
    assert.match(
      sim.effects.find((e) => e.type === 'roll-back')?.reason ?? '',
      /bad from 1970-01-01 00:00:02 UTC on/,
    );
  });

  it('keeps to the same choice when the folder is looked at again, also without rollback', () => {
    const sim = simulate({ rollbackEnabled: false });
    sim.start();
    sim.folder = [saved(20, 'safe'), saved(40), saved(60)];
    sim.goBad(nan(50), steps(1, 61));
    assert.deepEqual(sim.launches[1]?.resume, { path: '/ckpts/checkpoint-20', step: 20 });
    assert.deepEqual(sim.quarantined, []);
  });

  it('only warns where that was asked for, of a spike by default, and never acts on a step going back', () => {
    const spike: HealthFinding = { kind: 'loss-spike', step: 9, reason: 'the loss is 6 × the median' };
    const warned = (health: 'rollback' | 'warn', finding: HealthFinding): boolean => {
      const sim = simulate({ health: { nonFinite: health, spike: health } });
      sim.start();
      assert.deepEqual(
        sim.post({ type: 'unhealthy', finding }),
        sim.state.name === 'running' ? [] : ['stop-worker'],
      );
      return sim.state.name === 'running' && sim.state.warning === finding.reason;
    };
    assert.equal(warned('warn', nan(9)), true);
    assert.equal(warned('warn', spike), true);
    assert.equal(warned('rollback', spike), false);
    assert.equal(warned('rollback', nan(9)), false);
    assert.equal(warned('rollback', { kind: 'step-went-back', reason: 'step 9 after 12' }), true);

    const sim = simulate();
    sim.start();
    assert.deepEqual(sim.post({ type: 'unhealthy', finding: spike }), []);
  });
});

describe('before an attempt', () => {
  it('the first too, damaged newest checkpoints are moved away, newest first', () => {
    const sim = simulate();
    sim.folder = [saved(20, 'corrupt'), saved(40), saved(60, 'partial'), saved(80, 'corrupt')];
    sim.start();
    assert.deepEqual(types(sim), ['inspect', 'roll-back', 'launch']);
    assert.deepEqual(sim.effects[1], {
      type: 'roll-back',
      target: 'checkpoint-40',
      moves: ['checkpoint-80', 'checkpoint-60'],
      reason: 'checkpoint-80 is corrupt: cut off at byte 512',
    });
    assert.deepEqual(sim.launches[0], {
      type: 'launch',
      attempt: 0,
      resume: { path: '/ckpts/checkpoint-40', step: 40 },
    });
    assert.deepEqual(
      sim.folder.map(({ id }) => id),
      ['checkpoint-20', 'checkpoint-40'],
    );
  });

  it('one that is whole but was not verified in time is no reason to go back', () => {
    const sim = simulate();
    sim.folder = [saved(20), saved(40, 'complete')];
    sim.start();
    assert.deepEqual(types(sim), ['inspect', 'launch']);
    assert.equal(sim.launches[0]?.resume?.step, 40);
  });

  for (const standing of ['tainted', 'suspect', 'partial', 'corrupt'] as const) {
    it(`never resumes from a ${standing} one`, () => {
      const sim = simulate();
      sim.folder = [saved(20), saved(40, standing)];
      sim.start();
      assert.equal(sim.launches[0]?.resume?.step, 20);
      assert.deepEqual(sim.quarantined, ['checkpoint-40']);
    });
  }

  it('in a folder that was only guessed, nothing is moved that this run did not write', () => {
    const sim = simulate();
    sim.guessed = true;
    sim.folder = [saved(20), saved(40, 'corrupt', { ours: false }), saved(60, 'partial')];
    sim.start();
    assert.deepEqual(types(sim), ['inspect', 'tell', 'launch']);
    const told = sim.effects.find((effect) => effect.type === 'tell');
    assert.match(told?.text ?? '', /checkpoint-40 is corrupt .* stays where it is; name the folder/);
    assert.equal(sim.launches[0]?.resume?.step, 20);

    const ours = simulate();
    ours.guessed = true;
    ours.folder = [saved(20, 'verified', { ours: false }), saved(40, 'corrupt')];
    ours.start();
    assert.deepEqual(ours.quarantined, ['checkpoint-40']);
  });

  it('without rollback nothing is moved, and the newest good one is named all the same', () => {
    const sim = simulate({ rollbackEnabled: false });
    sim.folder = [saved(20), saved(40, 'corrupt')];
    sim.start();
    assert.deepEqual([sim.quarantined, sim.launches[0]?.resume?.step], [[], 20]);
  });

  it('the number in a name stands in for a step that nobody saw', () => {
    const { step: _unseen, ...named } = saved(40);
    const sim = simulate();
    sim.folder = [named];
    sim.start();
    assert.deepEqual(sim.launches[0]?.resume, { path: '/ckpts/checkpoint-40', step: 40 });
  });

  it('a step that nothing tells is left out, not 0', () => {
    const sim = simulate();
    sim.folder = [savedWithoutStep('ckpt.pt', 5000)];
    sim.start();
    assert.deepEqual(sim.launches[0]?.resume, { path: '/ckpts/ckpt.pt' });
  });
});

describe('what the vault keeps of checkpoints that the trainer removed or wrote over', () => {
  const spare = (step: number, standing: Standing = 'verified'): CheckpointFact =>
    saved(step, standing, { id: `checkpoint-${step}@${step}`, spare: true });
  /** A run that had a good checkpoint and failed; the folder then holds this. */
  const failing = (
    folder: readonly CheckpointFact[],
    change: Parameters<typeof simulate>[0] = {},
  ): Simulation => {
    const sim = simulate(change);
    sim.folder = [saved(20)];
    sim.start();
    sim.folder = [...folder];
    sim.exit({ exit: code(9), failure: exception(), summary: steps(21, 45) });
    return sim;
  };
  const rollback = (sim: Simulation): unknown => sim.effects.find((effect) => effect.type === 'roll-back');

  it('is put back where the newest in the folder is damaged, and nothing of the vault is moved', () => {
    const sim = failing([saved(20), spare(30), spare(40, 'corrupt'), saved(50, 'corrupt')]);
    assert.deepEqual(rollback(sim), {
      type: 'roll-back',
      target: 'checkpoint-30@30',
      moves: ['checkpoint-50'],
      reason: 'checkpoint-50 is corrupt: cut off at byte 512',
    });
    assert.deepEqual(sim.launches[1]?.resume, { path: '/ckpts/checkpoint-30', step: 30 });
  });

  it('is put back where the folder is empty, which is said', () => {
    const sim = failing([spare(30, 'safe'), spare(40)]);
    assert.deepEqual(rollback(sim), {
      type: 'roll-back',
      target: 'checkpoint-40@40',
      moves: [],
      reason: 'no checkpoint is left in the folder; checkpoint-40@40 was kept in the vault',
    });
    assert.deepEqual(sim.lastFailure().rolledBackTo, { id: 'checkpoint-40', step: 40 });
  });

  it('is passed over as long as the newest in the folder is sound: a person may have removed what came after it', () => {
    const sim = failing([saved(20), spare(30)]);
    assert.deepEqual([rollback(sim), sim.launches[1]?.resume?.step], [undefined, 20]);
  });

  it('is gone back to from a bad step, a safe one before a verified one', () => {
    const sim = simulate();
    sim.start();
    sim.folder = [spare(20, 'safe'), spare(40), saved(60), saved(80)];
    sim.goBad(nan(55), steps(1, 81));
    assert.deepEqual(
      sim.effects.filter(({ type }) => type === 'roll-back').map((effect) => ({ ...effect, reason: '' })),
      [
        {
          type: 'roll-back',
          target: 'checkpoint-20@20',
          moves: ['checkpoint-80', 'checkpoint-60'],
          reason: '',
        },
      ],
    );
  });

  it('of an earlier run is no reason to begin elsewhere than with nothing, nor after a training that completed', () => {
    const fresh = simulate();
    fresh.folder = [spare(40)];
    fresh.start();
    assert.deepEqual([rollback(fresh), fresh.launches[0]?.resume], [undefined, undefined]);

    const done = simulate();
    done.folder = [saved(20)];
    done.start();
    done.exit({ exit: code(0), failure: failure('success'), summary: steps(21, 40) });
    done.folder = [spare(20), spare(40)];
    done.start();
    assert.deepEqual([rollback(done), done.launches[1]?.resume], [undefined, undefined]);
  });

  it('is left alone without rollback, and is not what exit 0 proves', () => {
    const off = failing([spare(30)], { rollbackEnabled: false });
    assert.equal(rollback(off), undefined);

    const sim = simulate();
    sim.start();
    sim.folder = [saved(20), spare(40)];
    sim.exit({ exit: code(0), failure: failure('success'), summary: steps(1, 40) });
    assert.deepEqual(
      sim.effects.filter(({ type }) => type === 'mark').map((effect) => 'id' in effect && effect.id),
      ['checkpoint-20'],
    );
  });
});

describe('nothing good left', () => {
  const lost = (change: Parameters<typeof simulate>[0], folder = [saved(40, 'corrupt')]): Simulation => {
    const sim = simulate(change);
    sim.folder = [saved(40)];
    sim.start();
    sim.folder = folder;
    sim.exit({ exit: code(9), failure: exception(), summary: steps(41, 45) });
    return sim;
  };

  it('is the end where there was a verified one: nothing is moved, nothing begun from scratch', () => {
    const sim = lost({});
    assert.deepEqual([sim.ended().outcome, sim.ended().exitCode], ['failed', 9]);
    assert.match(
      sim.ended().reason,
      /none of the 1 checkpoints there can be trusted; nothing was moved.*--allow-scratch/,
    );
    assert.match(sim.lastFailure().action, /^gave up: none of/);
    assert.deepEqual([sim.quarantined, sim.launches.length], [[], 1]);
    assert.match(lost({}, []).ended().reason, /folder is empty, though/);
  });

  it('begins from scratch with allowScratch', () => {
    const sim = lost({ allowScratch: true });
    assert.equal(sim.state.name, 'running');
    assert.deepEqual([sim.quarantined, sim.launches[1]?.resume], [['checkpoint-40'], undefined]);
  });

  it('begins from scratch where there never was a good one', () => {
    const sim = simulate();
    sim.folder = [saved(20, 'corrupt')];
    sim.start();
    assert.deepEqual([sim.quarantined, sim.launches[0]?.resume], [['checkpoint-20'], undefined]);
    sim.folder = [saved(5, 'partial')];
    sim.exit({ failure: exception(), summary: steps(1, 5) });
    assert.deepEqual([sim.quarantined[1], sim.launches[1]?.resume], ['checkpoint-5', undefined]);
  });

  it('from before the bad step is the end too', () => {
    const sim = simulate();
    sim.folder = [saved(40)];
    sim.start();
    sim.goBad(nan(30), steps(25, 45));
    assert.match(sim.ended().reason, /no checkpoint from before step 30 can be trusted/);
  });
});

describe('a folder that cannot be read or changed', () => {
  it('is tried again with growing delays, and ends the run after the outage window', () => {
    const sim = simulate();
    sim.folderError = 'ESTALE';
    sim.start();
    assert.equal(sim.ended().outcome, 'failed');
    assert.match(sim.ended().reason, /could not be read: ESTALE/);
    assert.deepEqual(sim.delaysMs.slice(0, 3), [10_000, 20_000, 40_000]);
    const waitedMs = sim.delaysMs.reduce((sum, ms) => sum + ms, 0);
    assert.ok(waitedMs > 2 * hour && waitedMs < 2 * hour + 310_000);
    assert.equal(sim.launches.length, 0);
  });

  it('a rollback that fails for ever ends the run as well, without a launch', () => {
    const sim = simulate();
    sim.folder = [saved(20), saved(40, 'corrupt')];
    sim.rollbackError = 'EACCES';
    sim.start();
    assert.match(sim.ended().reason, /the rollback failed: EACCES/);
    assert.equal(sim.launches.length, 0);
  });

  it('is never tried in a hot loop', () => {
    const sim = simulate({ backoff: { initialMs: 0, factor: 2, maxMs: 0, jitter: 0 } });
    sim.folderError = 'EIO';
    sim.start();
    assert.ok(sim.delaysMs.every((ms) => ms >= 1000));
  });

  it('that is back does not shorten the next outage', () => {
    const sim = simulate();
    sim.start();
    sim.hold('wait');
    for (let n = 0; n < 3; n++) {
      sim.folderError = 'EIO';
      sim.exit({ failure: exception(`at ${n}`), summary: steps(1, 5) });
      assert.equal(sim.state.name, 'backing-off');
      sim.folderError = undefined;
      sim.release();
      assert.equal(sim.state.name, 'running');
      sim.hold('wait');
      sim.pass(3 * hour);
    }
  });

  it('at the end of an attempt: the failure is counted, and the next attempt has the next number', () => {
    const sim = simulate({ maxRetries: 1 });
    sim.start();
    sim.hold('wait');
    sim.folderError = 'EIO';
    sim.exit({ failure: exception('a'), summary: steps(1, 5) });
    assert.deepEqual([sim.state.ledger.retriesUsed, sim.lastFailure().action], [1, 'retry 1 of 1']);
    sim.folderError = undefined;
    sim.release();
    assert.deepEqual(
      sim.launches.map(({ attempt }) => attempt),
      [0, 1],
    );
    sim.folderError = 'EIO';
    sim.exit({ failure: exception('b'), summary: steps(1, 6) });
    assert.equal(sim.ended().outcome, 'failed');
  });

  it('at the end of a training that went bad: what is bad is known when it is back', () => {
    const sim = simulate();
    sim.start();
    sim.hold('wait');
    sim.folder = [saved(20), saved(40)];
    sim.folderError = 'EIO';
    sim.goBad(nan(30), steps(1, 41));
    sim.folderError = undefined;
    sim.release();
    assert.equal(sim.launches[1]?.resume?.step, 20);
    assert.deepEqual(sim.lastFailure().quarantined, ['checkpoint-40']);
  });
});

describe('isFurther', () => {
  it('goes by the numbers of names as the folder is ordered, else by steps, else by age', () => {
    const { step: _a, ...numbered } = saved(50);
    assert.equal(isFurther(saved(2), undefined), true);
    assert.equal(isFurther(saved(2), saved(2)), false);
    // steps that are counted from each launch
    assert.equal(isFurther(saved(10, 'verified', { number: 3 }), saved(90, 'verified', { number: 2 })), true);
    assert.equal(
      isFurther(saved(90, 'verified', { number: 2 }), saved(10, 'verified', { number: 3 })),
      false,
    );
    const { number: _b, ...nameless } = saved(60);
    assert.equal(isFurther(nameless, saved(50)), true);
    assert.equal(isFurther(numbered, saved(40)), true);
    assert.equal(isFurther(numbered, saved(50)), false);
    assert.equal(isFurther(numbered, savedWithoutStep('young', 2_000_000)), false);
    assert.equal(isFurther(savedWithoutStep('young', 2_000_000), numbered), true);
    assert.equal(isFurther(savedWithoutStep('b', 2), savedWithoutStep('a', 1)), true);
    assert.equal(isFurther(savedWithoutStep('b', 1), savedWithoutStep('a', 1)), false);
  });
});
