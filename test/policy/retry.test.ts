import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { backoffMs } from '../../src/policy/backoff.js';
import { code, exception, failure, killedBy, saved, stepless, steps, savedWithoutStep } from './kit.js';
import { simulate, type Simulation } from './simulation.js';

const minute = 60_000;
const hour = 60 * minute;

describe('a run that ends well', () => {
  it('completes, and its last checkpoint is proven', () => {
    const sim = simulate();
    sim.start();
    sim.progress(1, 40, [20, 40]);
    sim.exit({ exit: code(0), failure: failure('success'), summary: steps(1, 40) });
    const { outcome, exitCode, ledger } = sim.ended();
    assert.deepEqual([outcome, exitCode, ledger.lastRecovery], ['completed', 0, null]);
    assert.deepEqual(
      sim.folder.map(({ id, standing }) => [id, standing]),
      [
        ['checkpoint-20', 'verified'],
        ['checkpoint-40', 'safe'],
      ],
    );
  });

  it('proves no checkpoint that it did not write', () => {
    const sim = simulate();
    sim.folder = [saved(20), saved(40, 'verified', { ours: false })];
    sim.start();
    sim.exit({ exit: code(0), failure: failure('success'), summary: steps(1, 40) });
    assert.deepEqual(
      sim.folder.map(({ standing }) => standing),
      ['safe', 'verified'],
    );
  });

  it('completes though its folder cannot be read at the end', () => {
    const sim = simulate();
    sim.start();
    sim.folderError = 'EIO';
    sim.exit({ exit: code(0), failure: failure('success'), summary: steps(1, 40) });
    assert.equal(sim.ended().exitCode, 0);
    assert.match(sim.ended().reason, /completed; but .*EIO/);
  });

  it('crashes, rolls back past a torn checkpoint, waits, retries from the one before, completes', () => {
    const sim = simulate();
    sim.start();
    sim.progress(1, 50, [20, 40]);
    sim.folder.push(saved(50, 'corrupt'));
    const killed = failure('host-memory', { advice: 'use a smaller batch' });
    sim.exit({ exit: killedBy('SIGKILL', 9), failure: killed, summary: steps(1, 50) });
    assert.ok(sim.state.name === 'running');
    assert.deepEqual(
      sim.effects.map(({ type }) => type),
      ['inspect', 'launch', 'inspect', 'roll-back', 'wait', 'inspect', 'check-host', 'launch'],
    );
    assert.deepEqual(sim.launches[1], {
      type: 'launch',
      attempt: 1,
      resume: { path: '/ckpts/checkpoint-40', step: 40 },
      lastFailure: 'host-memory',
    });
    assert.ok(sim.state.resume?.id === 'checkpoint-40' && sim.state.pid === 1001);
    assert.deepEqual(sim.lastFailure(), {
      attempt: 0,
      at: sim.journal.find(({ type }) => type === 'exited')?.at,
      kind: 'host-memory',
      reason: 'it was host-memory',
      advice: 'use a smaller batch',
      evidence: [],
      exit: killedBy('SIGKILL', 9),
      confidence: 0.9,
      step: 50,
      trainMs: 50_000,
      lastedMs: 51_000,
      action: 'free retry: an outage of host-memory is waited out for 2h 00m at most',
      quarantined: ['checkpoint-50'],
      rolledBackTo: { id: 'checkpoint-40', step: 40 },
    });

    sim.progress(41, 60);
    sim.exit({ exit: code(0), failure: failure('success'), summary: steps(41, 60) });
    const { outcome, ledger } = sim.ended();
    assert.deepEqual([outcome, ledger.lastRecovery, ledger.totalFailures], ['completed', 'success', 1]);
    assert.deepEqual(ledger.tally.lostSteps, 10);
  });
});

describe('backoff', () => {
  it('says until when it waits', () => {
    const sim = simulate();
    sim.start();
    sim.hold('wait');
    sim.exit({ failure: exception() });
    const { at, mono } = sim.journal.at(-1)!;
    assert.ok(sim.state.name === 'backing-off');
    const { delayMs, until } = sim.state;
    assert.deepEqual([delayMs, until], [10_000, { at: at + 10_000, mono: mono + 10_000 }]);
  });

  it('doubles from the first delay to the longest, and starts anew after getting further', () => {
    const sim = simulate({ maxRetries: 20 });
    sim.start();
    for (let n = 0; n < 7; n++) sim.exit({ failure: exception(), summary: steps(1, n + 1) });
    assert.deepEqual(sim.delaysMs, [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
    sim.progress(1, 20, [10]);
    sim.exit({ failure: exception(), summary: steps(1, 20) });
    assert.equal(sim.delaysMs.at(-1), 10_000);
  });

  it('adds up to the jitter, never takes away', () => {
    const backoff = { initialMs: 10_000, factor: 2, maxMs: 300_000, jitter: 0.25 };
    assert.equal(backoffMs(backoff, 1, 0), 20_000);
    assert.equal(backoffMs(backoff, 1, 0.5), 22_500);
    assert.equal(backoffMs(backoff, 1, 1), 25_000);
    assert.equal(backoffMs(backoff, 50, 1), 375_000);
    assert.equal(backoffMs(backoff, 100_000, 0), 300_000);
    const sim = simulate();
    sim.jitter = 1;
    sim.start();
    sim.exit({ failure: exception() });
    assert.deepEqual(sim.delaysMs, [12_500]);
  });

  it('of zero never waits, however many tries, and still looks at the host', () => {
    const backoff = { initialMs: 0, factor: 2, maxMs: 300_000, jitter: 0.25 };
    assert.equal(backoffMs(backoff, 5000, 1), 0);
    const sim = simulate({ backoff });
    sim.start();
    sim.exit({ failure: exception() });
    assert.deepEqual(
      sim.effects.map(({ type }) => type),
      ['inspect', 'launch', 'inspect', 'check-host', 'launch'],
    );
  });
});

describe('the retry budget', () => {
  it('without checkpoints never refills: four crashes at different steps, then the trainer’s own code', () => {
    const sim = simulate({ maxRetries: 3 });
    sim.start();
    for (const last of [10, 20, 30, 40]) {
      assert.equal(sim.state.name, 'running');
      sim.progress(1, last);
      sim.exit({ exit: code(7), failure: exception(`at ${last}`), summary: steps(1, last) });
    }
    const { outcome, exitCode, reason, ledger } = sim.ended();
    assert.deepEqual([outcome, exitCode], ['failed', 7]);
    assert.match(reason, /4 failures in a row without getting further/);
    assert.equal(ledger.lastRecovery, 'failed');
    assert.deepEqual(
      ledger.failures.map(({ attempt, action }) => `${attempt}: ${action}`),
      [
        '0: retry 1 of 3',
        '1: retry 2 of 3',
        '2: retry 3 of 3',
        '3: gave up: 4 failures in a row without getting further',
      ],
    );
    assert.deepEqual(sim.delaysMs, [10_000, 20_000, 40_000]);
  });

  it('refills on a verified checkpoint further than any attempt had, seen live or after the end', () => {
    const sim = simulate({ maxRetries: 2 });
    sim.start();
    for (const step of [20, 40, 60, 80, 100]) {
      sim.progress(step - 19, step + 1, step % 40 === 0 ? [step] : []);
      if (step % 40 !== 0) sim.folder.push(saved(step));
      sim.exit({ failure: exception(`after ${step}`), summary: steps(step - 19, step + 1) });
      assert.equal(sim.state.name, 'running');
      assert.equal(sim.state.ledger.retriesUsed, 1);
      assert.equal(sim.state.ledger.lastRecovery, step === 20 ? null : 'success');
    }
  });

  it('does not refill on a checkpoint that an attempt had before, or that is not verified', () => {
    const sim = simulate({ maxRetries: 2 });
    sim.folder = [saved(20), saved(40)];
    sim.start();
    sim.progress(41, 42);
    sim.exit({ failure: exception('a'), summary: steps(41, 42) });
    // the trainer saves step 30 anew, and one that is never proven to be whole
    sim.folder = [saved(20), saved(30), saved(60, 'complete')];
    sim.exit({ failure: exception('b'), summary: steps(21, 32) });
    assert.equal(sim.state.ledger.retriesUsed, 2);
    sim.progress(31, 36, [35]);
    sim.exit({ failure: exception('c'), summary: steps(31, 36) });
    assert.equal(sim.ended().outcome, 'failed');
  });

  it('of none gives up at the first failure', () => {
    const sim = simulate({ maxRetries: 0 });
    sim.start();
    sim.exit({ exit: code(3), failure: exception(), summary: steps(1, 5) });
    assert.deepEqual([sim.ended().exitCode, sim.launches.length], [3, 1]);
    assert.match(sim.ended().reason, /maxRetries 0/);
  });

  it('maxTotalRetries holds though every attempt gets further, and for outages too', () => {
    const sim = simulate({ maxTotalRetries: 2 });
    sim.start();
    sim.progress(1, 20, [20]);
    sim.exit({ failure: exception(), summary: steps(1, 20) });
    sim.progress(21, 40, [40]);
    sim.exit({ failure: failure('network'), summary: steps(21, 40) });
    assert.equal(sim.state.name, 'running');
    sim.progress(41, 60, [60]);
    sim.exit({ failure: failure('network'), summary: steps(41, 60) });
    assert.equal(sim.ended().outcome, 'failed');
    assert.match(sim.ended().reason, /all 2 retries of maxTotalRetries/);
  });
});

describe('outages', () => {
  for (const kind of ['storage', 'network', 'gpu', 'host-memory'] as const) {
    it(`${kind} is free within the window, however many tries, and paid after it`, () => {
      const sim = simulate({ maxRetries: 1 });
      sim.start();
      sim.progress(1);
      let tries = 0;
      for (let ms = 0; ms <= 2 * hour; ms += 10 * minute) {
        sim.exit({ failure: failure(kind) });
        assert.equal(sim.state.name, 'running');
        sim.pass(10 * minute - (sim.delaysMs.at(-1) ?? 0));
        tries++;
      }
      assert.deepEqual([sim.state.ledger.retriesUsed, sim.state.ledger.totalRetries], [0, tries]);
      sim.exit({ failure: failure(kind) });
      assert.deepEqual([sim.state.name, sim.state.ledger.retriesUsed], ['running', 1]);
      sim.exit({ exit: code(5), failure: failure(kind) });
      assert.equal(sim.ended().exitCode, 5);
    });
  }

  it('a GPU that no attempt ever trained on is missing, not away', () => {
    const sim = simulate({ maxRetries: 1 });
    sim.start();
    sim.exit({ failure: failure('gpu') });
    sim.exit({ failure: failure('gpu') });
    assert.equal(sim.ended().outcome, 'failed');
  });

  it('a failure of another kind, or getting further, ends the row', () => {
    const sim = simulate();
    sim.start();
    sim.exit({ failure: failure('network') });
    sim.pass(3 * hour);
    sim.exit({ failure: exception('a'), summary: steps(1, 2) });
    sim.exit({ failure: failure('network') });
    assert.equal(sim.state.ledger.retriesUsed, 1);
    sim.pass(3 * hour);
    sim.progress(1, 20, [20]);
    sim.exit({ failure: failure('network'), summary: steps(1, 20) });
    assert.equal(sim.state.ledger.retriesUsed, 0);
  });

  it('what the host lacks is waited for, and not for ever', () => {
    const sim = simulate();
    sim.start();
    sim.waitingFor = 'free space in /ckpts';
    sim.exit({ exit: code(28), failure: failure('storage') });
    assert.ok(sim.state.name === 'waiting' && sim.state.waitingFor === 'free space in /ckpts');
    sim.pass(hour);
    assert.deepEqual(sim.post({ type: 'host-not-ready', waitingFor: 'free space in /ckpts' }), []);
    sim.pass(hour);
    assert.deepEqual(sim.post({ type: 'host-not-ready', waitingFor: 'free space in /ckpts' }), ['finish']);
    assert.equal(sim.ended().exitCode, 28);
    assert.match(sim.lastFailure().action, /gave up: waited in vain for free space/);
  });
});

describe('what only a person can change', () => {
  for (const kind of ['command', 'config', 'code'] as const) {
    it(`${kind}: gives up at once before any progress`, () => {
      const sim = simulate();
      sim.start();
      sim.exit({ exit: code(1), failure: failure(kind) });
      assert.deepEqual([sim.ended().outcome, sim.launches.length], ['failed', 1]);
      assert.match(sim.ended().reason, /a retry would end the same way/);
    });

    it(`${kind}: is an outage once an attempt has progressed`, () => {
      const sim = simulate({ maxRetries: 0 });
      sim.start();
      sim.progress(1, 5, [5]);
      sim.exit({ exit: code(1), failure: failure(kind), summary: steps(1, 5) });
      sim.exit({ exit: code(1), failure: failure(kind) });
      assert.deepEqual([sim.state.name, sim.state.ledger.retriesUsed], ['running', 0]);
    });
  }

  it('the exit status is the shell’s where the command cannot be found or run', () => {
    for (const [errno, status] of [
      ['ENOENT', 127],
      ['EACCES', 126],
    ] as const) {
      const sim = simulate();
      sim.hold('launch');
      sim.start();
      const exit = { type: 'not-started', code: errno, message: 'no' } as const;
      sim.exit({ exit, failure: failure('command') });
      assert.equal(sim.ended().exitCode, status);
    }
  });

  it('a training that does not resume is not begun again from the beginning', () => {
    const sim = simulate();
    sim.folder = [saved(20)];
    sim.start();
    sim.exit({ failure: failure('not-resumed'), summary: steps(1, 2) });
    assert.equal(sim.ended().outcome, 'failed');
  });
});

describe('stop on repeat', () => {
  it('gives up at the third same failure at the same step', () => {
    const sim = simulate({ maxRetries: 10 });
    sim.start();
    for (let n = 0; n < 3; n++) {
      assert.equal(sim.state.name, 'running');
      sim.progress(1, 17);
      sim.exit({ exit: code(1), failure: exception('ValueError train.py:40'), summary: steps(1, 17) });
    }
    assert.equal(sim.ended().exitCode, 1);
    assert.match(sim.ended().reason, /same failure at step 17 3 times: it is deterministic/);
  });

  type HowItEnds = Parameters<Simulation['exit']>[0];
  const survives = (title: string, howItEnds: (n: number) => HowItEnds): void => {
    it(`not ${title}`, () => {
      const sim = simulate({ maxRetries: 10 });
      sim.start();
      for (let n = 0; n < 5; n++) sim.exit(howItEnds(n));
      assert.equal(sim.state.name, 'running');
    });
  };
  survives('when the step is not known', () => ({ failure: exception('same'), summary: stepless() }));
  survives('at different steps', (n) => ({ failure: exception('same'), summary: steps(1, 10 + n) }));
  survives('for different failures', (n) => ({ failure: exception(`at ${n}`), summary: steps(1, 10) }));
  survives('for what nothing identifies', () => ({ failure: exception(), summary: steps(1, 10) }));
  survives('for a kill from outside', () => ({
    // nothing identifies it: see fromExit
    failure: failure('killed'),
    summary: steps(1, 10),
  }));

  it('without steps: after nine short lives, however new the file is that each of them wrote', () => {
    const lives = (ms: number): number => {
      const sim = simulate();
      sim.start();
      let count = 0;
      for (; count < 30 && sim.state.name === 'running'; count++) {
        sim.pass(ms);
        sim.folder = [savedWithoutStep('last.ckpt', 1_000_000 + count)];
        sim.exit({ failure: exception('same'), summary: steps() });
      }
      return count;
    };
    assert.deepEqual([lives(60_000), lives(3_600_000)], [9, 30]);
  });

  it('memory that runs out at one step again and again is no outage', () => {
    const sim = simulate({ maxRetries: 10 });
    sim.start();
    const oom = failure('host-memory', { fingerprint: 'MemoryError@train.py:9' });
    for (let n = 0; n < 3; n++) sim.exit({ failure: oom, summary: steps(1, 17) });
    assert.match(sim.ended().reason, /same failure at step 17 3 times/);
  });

  it('a fault of native code repeats like an exception', () => {
    const sim = simulate({ maxRetries: 10 });
    sim.start();
    const segfault = failure('killed', { fingerprint: 'signal:SIGSEGV' });
    for (let n = 0; n < 3; n++) sim.exit({ failure: segfault, summary: steps(1, 17) });
    assert.match(sim.ended().reason, /same failure at step 17 3 times/);
  });

  it('not when it got further in between', () => {
    const further = simulate({ maxRetries: 10 });
    further.start();
    const same = { failure: exception('same'), summary: steps(1, 10) };
    further.exit(same);
    further.exit(same);
    further.progress(1, 10, [8]);
    further.exit(same);
    further.exit(same);
    assert.equal(further.state.name, 'running');
    further.exit(same);
    assert.equal(further.state.name, 'ended');
  });

  it('not when it is off', () => {
    const sim = simulate({ maxRetries: 5 }, ['stopOnRepeat']);
    sim.start();
    for (let n = 0; n < 5; n++) sim.exit({ failure: exception('same'), summary: steps(1, 10) });
    assert.equal(sim.state.name, 'running');
  });

  it('gpu-memory gives up the second time at the same step', () => {
    const gpu = simulate({ maxRetries: 10 });
    gpu.start();
    const oom = failure('gpu-memory', { fingerprint: 'CUDA out of memory' });
    gpu.exit({ failure: oom, summary: steps(1, 10) });
    gpu.exit({ failure: oom, summary: steps(1, 12) });
    assert.equal(gpu.state.name, 'running');
    gpu.exit({ exit: code(1), failure: oom, summary: steps(1, 12) });
    assert.match(gpu.ended().reason, /at step 12 2 times/);
  });
});

describe('rules of the user', () => {
  it('fail: no retry, whatever the kind', () => {
    const sim = simulate();
    sim.start();
    sim.exit({ exit: code(42), failure: failure('network', { ruled: 'fail' }) });
    assert.deepEqual([sim.ended().exitCode, sim.launches.length], [42, 1]);
    assert.match(sim.ended().reason, /a rule of the configuration/);
  });

  it('ignore: free, for ever', () => {
    const sim = simulate({ maxRetries: 0 });
    sim.start();
    const spot = failure('exception', { ruled: 'ignore', fingerprint: 'same' });
    for (let n = 0; n < 60; n++) sim.exit({ failure: spot, summary: steps(1, 10) });
    assert.deepEqual([sim.state.name, sim.state.ledger.retriesUsed], ['running', 0]);
    assert.equal(sim.state.ledger.failures.length, 50);
    assert.equal(sim.state.ledger.totalFailures, 60);
  });

  it('retry: also what would be given up at once, but on the budget', () => {
    const sim = simulate({ maxRetries: 3 });
    sim.start();
    const ruled = failure('code', { ruled: 'retry', fingerprint: 'same' });
    for (let n = 0; n < 3; n++) sim.exit({ failure: ruled });
    assert.equal(sim.state.name, 'running');
    sim.exit({ failure: ruled });
    assert.equal(sim.ended().outcome, 'failed');
  });

  it('rollback: to the newest safe checkpoint before the step it failed at', () => {
    const sim = simulate();
    sim.folder = [saved(20, 'safe'), saved(40), saved(60)];
    sim.start();
    sim.exit({ failure: failure('exception', { ruled: 'rollback' }), summary: steps(61, 65) });
    assert.deepEqual(sim.launches[1]?.resume, { path: '/ckpts/checkpoint-20', step: 20 });
    assert.deepEqual(sim.quarantined, ['checkpoint-60', 'checkpoint-40']);
  });

  it('an exit 0 that a rule calls a failure is one', () => {
    const sim = simulate();
    sim.start();
    sim.exit({ exit: code(0), failure: failure('success', { ruled: 'fail' }), summary: steps(1, 5) });
    assert.deepEqual([sim.ended().outcome, sim.ended().exitCode], ['failed', 1]);
  });
});

describe('the exit status on giving up', () => {
  it('is 124 on hangs, whatever the worker said when it was stopped', () => {
    const sim = simulate({ maxRetries: 1 });
    sim.start();
    sim.hang();
    assert.equal(sim.state.name, 'running');
    sim.hang();
    assert.equal(sim.ended().exitCode, 124);
    assert.equal(sim.lastFailure().kind, 'hang');
    assert.match(sim.lastFailure().reason, /no progress for 10m 00s/);
  });

  it('is 128+n for a signal, 1 where the status would be 0 or is not known', () => {
    const cases = [
      { exit: killedBy('SIGSEGV', 11), status: 139 },
      { exit: code(0), status: 1 },
      { exit: { type: 'unknown' }, status: 1 },
    ] as const;
    for (const { exit, status } of cases) {
      const sim = simulate({ maxRetries: 0 });
      sim.start();
      sim.exit({ exit, failure: failure('unknown') });
      assert.equal(sim.ended().exitCode, status);
    }
  });

  it('does not say that a person stopped a training that went bad', () => {
    const sim = simulate({ maxRetries: 0 });
    sim.start();
    sim.goBad({ kind: 'non-finite-loss', step: 5, reason: 'the loss is NaN' }, steps(1, 6));
    assert.equal(sim.ended().exitCode, 1);
  });
});
