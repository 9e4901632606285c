import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Failure } from '../../src/failure/types.js';
import { exception, failure, killedBy, saved, steps } from './kit.js';
import { simulate, type Simulation } from './simulation.js';

const nan = (step: number) =>
  ({ kind: 'non-finite-loss', step, reason: `NaN from step ${step} on` }) as const;
const resumedFrom = (sim: Simulation): (number | undefined)[] =>
  sim.launches.map(({ resume }) => resume?.step);
const inFolder = (sim: Simulation): string[] => sim.folder.map(({ id }) => id);
const words = (sim: Simulation): string => sim.lastFailure().action;

/** Saves at 20, 40 and 60, and fails at 65. */
function trained(how: Failure = exception('boom')): Simulation {
  const sim = simulate();
  sim.start();
  sim.progress(1, 65, [20, 40, 60]);
  sim.exit({ failure: how, summary: steps(1, 65) });
  return sim;
}

describe('a failure soon after the resume', () => {
  it('at the same step each time: deterministic at the third, and the folder is as before', () => {
    const sim = trained();
    const before = inFolder(sim);
    sim.exit({ failure: exception('boom'), summary: steps(61, 65) });
    assert.deepEqual(inFolder(sim), ['checkpoint-20', 'checkpoint-40']);
    sim.exit({ failure: exception('boom'), summary: steps(41, 65) });
    assert.equal(sim.ended().outcome, 'failed');
    assert.match(words(sim), /at step 65 3 times: it is deterministic/);
    assert.deepEqual(resumedFrom(sim), [undefined, 60, 40]);
    assert.deepEqual(inFolder(sim), before);
  });

  it('the first time it is retried from where it was', () => {
    const sim = simulate();
    sim.folder = [saved(20), saved(40)];
    sim.start();
    sim.exit({ failure: exception('boom'), summary: steps(41, 45) });
    assert.deepEqual(resumedFrom(sim), [40, 40]);
  });

  it('what comes back of itself is put aside again before what it replaced comes back', () => {
    const sim = trained();
    sim.exit({ failure: exception('a'), summary: steps(61, 62) });
    sim.progress(41, 63, [60]);
    sim.exit({ failure: exception('b'), summary: steps(41, 63) });
    sim.exit({ failure: exception('c'), summary: steps(61, 62) });
    assert.equal(sim.ended().outcome, 'failed');
    assert.deepEqual(inFolder(sim), ['checkpoint-20', 'checkpoint-40', 'checkpoint-60']);
  });

  it('getting further proves the deeper rollback right: it is never undone', () => {
    const sim = trained();
    sim.exit({ failure: exception('a'), summary: steps(61, 62) });
    sim.progress(41, 90, [80]);
    for (let n = 0; n < 4; n++) sim.exit({ failure: exception(), summary: steps() });
    assert.equal(sim.ended().outcome, 'failed');
    assert.equal(
      sim.effects.some(({ type }) => type === 'undo'),
      sim.quarantined.includes('checkpoint-80'),
    );
    assert.ok(!inFolder(sim).includes('checkpoint-60'));
  });

  it('a long healthy time after the resume speaks for the checkpoint', () => {
    const sim = trained();
    sim.exit({ failure: exception('a'), summary: steps(61, 62, { trainMs: 200_000 }) });
    assert.deepEqual(resumedFrom(sim), [undefined, 60, 60]);
  });

  for (const [kind, change] of [
    ['network', {}],
    ['storage', {}],
    ['host-memory', {}],
    ['gpu-memory', {}],
    ['gpu', {}],
    ['code', {}],
    ['killed', {}],
  ] as const) {
    it(`${kind} is none of the checkpoint's doing`, () => {
      const sim = trained();
      sim.exit({ exit: killedBy('SIGKILL', 9), failure: failure(kind, change), summary: steps(61, 62) });
      assert.deepEqual(resumedFrom(sim), [undefined, 60, 60]);
    });
  }

  it('with nothing older it is retried from the same one', () => {
    const sim = simulate();
    sim.start();
    sim.progress(1, 25, [20]);
    sim.exit({ failure: exception('a'), summary: steps(1, 25) });
    sim.exit({ failure: exception('b'), summary: steps(21, 22) });
    assert.deepEqual(resumedFrom(sim), [undefined, 20, 20]);
  });

  it('without rollback nothing is doubted', () => {
    const sim = simulate({ rollbackEnabled: false });
    sim.start();
    sim.progress(1, 65, [40, 60]);
    sim.exit({ failure: exception('a'), summary: steps(1, 65) });
    sim.exit({ failure: exception('b'), summary: steps(61, 62) });
    assert.deepEqual(resumedFrom(sim), [undefined, 60, 60]);
    assert.deepEqual(sim.quarantined, []);
  });
});

describe('a poisoned checkpoint', () => {
  it('NaN two steps after every resume from it: goes back one further and finishes', () => {
    const sim = trained();
    sim.goBad(nan(62), steps(61, 62, { badStep: 62 }));
    assert.deepEqual(resumedFrom(sim), [undefined, 60, 40]);
    assert.ok(sim.quarantined.includes('checkpoint-60'));
    sim.progress(41, 100, [60, 80, 100]);
    sim.exit({ exit: { type: 'code', code: 0 }, failure: failure('success'), summary: steps(41, 100) });
    assert.equal(sim.ended().outcome, 'completed');
  });

  it('one that healthy training went on after is believed once more', () => {
    const sim = simulate();
    sim.folder = [saved(20), saved(40), saved(60, 'safe')];
    sim.start();
    sim.goBad(nan(62), steps(61, 62, { badStep: 62 }));
    sim.goBad(nan(62), steps(61, 62, { badStep: 62 }));
    assert.deepEqual(resumedFrom(sim), [60, 60, 40]);
  });
});

describe('a checkpoint that cannot be loaded', () => {
  const unreadable = failure('checkpoint', { loading: 'unreadable', fingerprint: 'zip' });
  const misfit = failure('code', { loading: 'misfit', fingerprint: 'state_dict' });

  it('damaged: that one goes, and the one before is taken', () => {
    const sim = trained();
    sim.damaged = (place) => {
      sim.folder = sim.folder.map((one) => (one.path === place ? { ...one, standing: 'corrupt' } : one));
      return 'cut off at byte 512';
    };
    sim.exit({ failure: unreadable, summary: steps() });
    assert.deepEqual(resumedFrom(sim), [undefined, 60, 40]);
    assert.deepEqual(sim.quarantined, ['checkpoint-60']);
    assert.match(sim.lastFailure().reason, /checkpoint-60 is damaged: cut off at byte 512/);
  });

  it('damaged, and the program has its own words for it: the bytes are read before the first step is made', () => {
    const sim = trained();
    sim.damaged = (place) => {
      sim.folder = sim.folder.map((one) => (one.path === place ? { ...one, standing: 'corrupt' } : one));
      return 'no digest fits';
    };
    sim.exit({ failure: exception('own words'), summary: steps() });
    assert.equal(sim.lastFailure().kind, 'checkpoint');
    assert.deepEqual(resumedFrom(sim), [undefined, 60, 40]);
  });

  it('good, and the program fails before its first step for another reason: an exception like any other', () => {
    const sim = trained();
    sim.exit({ failure: exception('own words'), summary: steps() });
    assert.equal(sim.lastFailure().kind, 'exception');
  });

  it('not shown to be damaged: one is doubted, at the second the run ends and nothing is missing', () => {
    const sim = trained();
    const before = inFolder(sim);
    sim.exit({ failure: unreadable, summary: steps() });
    assert.deepEqual(resumedFrom(sim), [undefined, 60, 40]);
    sim.exit({ failure: unreadable, summary: steps() });
    assert.equal(sim.ended().outcome, 'failed');
    assert.match(words(sim), /a second checkpoint cannot be loaded/);
    assert.deepEqual(inFolder(sim), before);
  });

  it('good, and the program does not fit it: gives up at once and moves nothing', () => {
    const sim = trained();
    sim.exit({ failure: misfit, summary: steps() });
    assert.equal(sim.ended().outcome, 'failed');
    assert.match(words(sim), /do not fit together/);
    assert.match(sim.lastFailure().reason, /its bytes are good/);
    assert.deepEqual(sim.quarantined, []);
  });

  it('the edit that made it so is named', () => {
    const sim = trained();
    sim.post({ type: 'code-noted', attempt: 1, code: { head: 'a'.repeat(40) } });
    sim.exit({ failure: failure('network'), summary: steps() });
    sim.post({ type: 'code-noted', attempt: 2, code: { head: 'b'.repeat(40) } });
    sim.exit({ failure: misfit, summary: steps() });
    assert.match(words(sim), /the code changed between attempts 1 and 2: commit aaaaaaaa → bbbbbbbb/);
    assert.equal(sim.lastFailure().codeChanged?.includes('attempts 1 and 2'), true);
  });

  it('damaged, whatever the program says of it: it is the checkpoint', () => {
    const sim = trained();
    sim.damaged = (place) => {
      sim.folder = sim.folder.map((one) => (one.path === place ? { ...one, standing: 'corrupt' } : one));
      return 'no digest fits';
    };
    sim.exit({ failure: misfit, summary: steps() });
    assert.equal(sim.lastFailure().kind, 'checkpoint');
    assert.deepEqual(resumedFrom(sim), [undefined, 60, 40]);
  });
});

describe('code that changes between attempts', () => {
  it('makes another failure: repeats are counted anew', () => {
    const sim = trained();
    const fails = (head: string, attempt: number): void => {
      sim.post({ type: 'code-noted', attempt, code: { head } });
      sim.exit({ failure: exception('boom'), summary: steps(61, 65, { trainMs: 200_000 }) });
    };
    fails('a'.repeat(40), 1);
    fails('b'.repeat(40), 2);
    assert.equal(sim.state.name, 'running');
  });

  it('that was not known before has not changed', () => {
    const sim = trained();
    sim.post({ type: 'code-noted', attempt: 1, code: {} });
    sim.exit({ failure: exception('other'), summary: steps() });
    sim.post({ type: 'code-noted', attempt: 2, code: { head: 'b'.repeat(40) } });
    assert.equal(sim.state.ledger.codeChanged, undefined);
  });
});

describe('what deeper rollbacks moved is remembered', () => {
  const doubted = (): Simulation => {
    const sim = trained();
    sim.hold('roll-back');
    sim.exit({ failure: exception('a'), summary: steps(61, 62) });
    assert.equal(sim.state.name, 'rolling-back');
    return sim;
  };

  it('by a supervisor that begins after the one that moved it died', () => {
    const sim = doubted();
    const [asked] = sim.effects.slice(-1);
    sim.post({ type: 'started', bootId: 'boot-1' });
    assert.deepEqual(
      sim.state.ledger.deeper?.map(({ tx }) => tx),
      [asked?.type === 'roll-back' ? asked.tx : 'no rollback was asked for'],
    );
  });

  it('through a stop, and through a start anew by a person', () => {
    const sim = doubted();
    sim.stop('terminate');
    sim.release();
    assert.equal(sim.ended().outcome, 'stopped');
    sim.start();
    for (let n = 0; n < 4; n++) sim.exit({ failure: exception('other'), summary: steps(41, 42) });
    assert.equal(sim.ended().outcome, 'failed');
    assert.ok(inFolder(sim).includes('checkpoint-60'), inFolder(sim).join());
  });

  it('a look at the folder that a restart repeats reads the bytes again, too', () => {
    const sim = trained();
    sim.hold('inspect');
    sim.exit({ failure: failure('checkpoint', { loading: 'unreadable' }), summary: steps() });
    const read = sim.effects.at(-1);
    sim.post({ type: 'started', bootId: 'boot-1' });
    assert.deepEqual(sim.effects.at(-1), read);
    assert.ok(read?.type === 'inspect' && read.reread !== undefined);
  });
});

describe('steps that are counted from each launch', () => {
  it('a NaN goes back by its time, not to the beginning', () => {
    const sim = simulate();
    sim.folder = [saved(20), saved(40), saved(60)].map((one) => ({
      ...one,
      modifiedAt: (one.step ?? 0) * 1000,
    }));
    sim.start();
    sim.goBad({ ...nan(22), at: 61_000 }, steps(1, 22, { badStep: 22, badAt: 61_000, trainMs: 200_000 }));
    assert.deepEqual(resumedFrom(sim), [60, 60]);
    assert.deepEqual(sim.quarantined, []);
  });

  it('a misfit that the program caught and trained on after is an exception like others', () => {
    const sim = trained();
    sim.exit({ failure: failure('code', { loading: 'misfit' }), summary: steps(61, 64) });
    assert.equal(sim.state.name, 'running');
  });
});

describe("the user's word", () => {
  it('a hook that says permanent ends the run', () => {
    const sim = simulate();
    sim.start();
    sim.veto = 'hook onFailure says that the failure is permanent';
    sim.exit({ failure: exception('boom'), summary: steps(1, 5) });
    assert.equal(sim.ended().outcome, 'failed');
    assert.match(words(sim), /hook onFailure/);
  });

  it('after a rollback, too, and a rollback that is forbidden is not tried again', () => {
    for (const answer of ['rolled-back', 'rollback-failed'] as const) {
      const sim = simulate();
      sim.start();
      sim.progress(1, 65, [20, 40]);
      sim.folder.push(saved(60, 'corrupt'));
      sim.hold('roll-back');
      sim.exit({ failure: exception('boom'), summary: steps(1, 65) });
      assert.equal(sim.state.name, 'rolling-back');
      if (answer === 'rolled-back') sim.post({ type: answer, quarantined: [], tx: 'tx', veto: 'no more' });
      else sim.post({ type: answer, reason: 'no more', permanent: true });
      assert.match(sim.ended().reason, /no more/);
    }
  });

  it('what the host asks for is told to every attempt from then on', () => {
    const sim = simulate();
    sim.start();
    sim.hold('check-host');
    sim.exit({ failure: failure('network'), summary: steps(1, 5) });
    sim.post({ type: 'host-ready', env: { MASTER_PORT: '29511' } });
    assert.deepEqual(sim.launches.at(-1)?.env, { MASTER_PORT: '29511' });
  });

  it('a check that says never ends the wait', () => {
    const sim = simulate();
    sim.start();
    sim.hold('check-host');
    sim.exit({ failure: failure('network'), summary: steps(1, 5) });
    sim.post({ type: 'host-not-ready', waitingFor: 'preflight says never', permanent: true });
    assert.match(sim.ended().reason, /preflight says never/);
  });
});
