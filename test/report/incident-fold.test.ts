import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exception, failure, killedBy, saved, steps } from '../policy/kit.js';
import { simulate } from '../policy/simulation.js';
import { incidentOf, watched } from './incidents.js';

/** Attempt 0 trains to step 24 with a save at 20, and crashes. */
function crashed(sim = simulate()): ReturnType<typeof watched> {
  const run = watched(sim);
  sim.start();
  sim.progress(1, 24, [10, 20]);
  sim.exit({
    failure: { ...exception('boom'), evidence: [{ text: 'boom', source: 'worker-0.err.log:12' }] },
    summary: steps(1, 24),
  });
  return run;
}

test('a crash is one incident, and what it cost is known once the next attempt goes on', () => {
  const run = crashed();
  const before = incidentOf(run, 1);
  assert.equal(before.attempt, 0);
  assert.equal(before.step, 24);
  assert.equal(before.action, 'retry 1 of 3');
  assert.equal(before.afterSeconds, 25, '23 s to the last step, and two saves');
  assert.deepEqual(before.evidence, [
    {
      text: 'boom',
      source: 'worker-0.err.log:12',
      file: '/runs/train/attempts/000/worker-0.err.log',
      line: 12,
    },
  ]);
  assert.equal(before.next?.attempt, 1);
  assert.deepEqual(before.next.resumedFrom, { id: 'checkpoint-20', step: 20 });
  assert.deepEqual([before.lost, before.outcome], [null, null]);

  run.sim.progress(21);
  const after = incidentOf(run, 1);
  assert.deepEqual(after.lost, { steps: 4, seconds: 4 });
  assert.equal(after.outcome, 'recovered');
  assert.deepEqual(
    after.done.map(({ type }) => type),
    ['decided', 'waited', 'launched', 'progressed'],
  );
  assert.equal(run.written.size, 1);
});

test('it is written as soon as the attempt has ended, before anything is decided', () => {
  const sim = simulate();
  sim.hold('inspect');
  const run = watched(sim);
  sim.post({ type: 'started', bootId: 'boot-1' });
  sim.release();
  sim.progress(1, 5);
  sim.hold('inspect');
  sim.exit({ failure: exception('boom'), summary: steps(1, 5) });
  assert.equal(incidentOf(run, 1).action, null);
  sim.release();
  assert.equal(incidentOf(run, 1).action, 'retry 1 of 3');
});

test('numbers that went bad: where it was rolled back to, what was moved and where that is', () => {
  const sim = simulate();
  const run = watched(sim);
  sim.start();
  sim.progress(1, 30, [10, 20, 30]);
  sim.folder = [saved(10, 'safe'), saved(20), saved(30)];
  sim.goBad({ kind: 'non-finite-loss', step: 16, reason: 'the loss is NaN' }, steps(1, 30));
  const { kind, badStep, rollbacks, done } = incidentOf(run, 1);
  assert.deepEqual([kind, badStep], ['numeric', 16]);
  assert.equal(rollbacks.length, 1);
  assert.deepEqual(rollbacks[0]?.target, { id: 'checkpoint-10', step: 10, standing: 'safe' });
  assert.deepEqual(rollbacks[0].quarantined, ['checkpoint-30', 'checkpoint-20']);
  assert.match(rollbacks[0].quarantine ?? '', /^\/\.ckpts\.trainguard\/quarantine\/tx/);
  assert.ok(done.some(({ type, text }) => type === 'stopped' && /gone bad/.test(text)));
  assert.ok(done.some(({ type, text }) => type === 'marked' && /checkpoint-20 is marked tainted/.test(text)));
});

test('a run that is given up closes its incident, and what ends later does not open it again', () => {
  const sim = simulate({ maxRetries: 0 });
  const run = crashed(sim);
  const { outcome, action, lost } = incidentOf(run, 1);
  assert.deepEqual([outcome, lost], ['gave-up', null]);
  assert.match(action ?? '', /^gave up: /);
  sim.post({ type: 'stop-requested', by: 'interrupt' });
  assert.equal(run.written.size, 1);
  // by hand, with fresh budgets: the next failure is the next incident
  sim.start();
  sim.exit({ failure: exception('boom'), summary: steps(21, 22) });
  assert.equal(incidentOf(run, 2).attempt, 1);
  assert.equal(run.written.size, 2);
});

test('what was lost belongs to the attempt that had made the steps', () => {
  const run = crashed();
  run.sim.exit({ failure: failure('killed'), exit: killedBy('SIGKILL', 9) });
  assert.equal(incidentOf(run, 2).step, null);
  run.sim.progress(21);
  assert.deepEqual(incidentOf(run, 1).lost, { steps: 4, seconds: 4 });
  assert.deepEqual(incidentOf(run, 2).lost, { steps: 0, seconds: 0 });
});

test('an attempt that could not even be launched is the next incident, and ends what is told in the one before', () => {
  const sim = simulate();
  const run = watched(sim);
  sim.start();
  sim.progress(1, 24, [20]);
  sim.hold('launch');
  sim.exit({ failure: exception('boom'), summary: steps(1, 24) });
  const before = incidentOf(run, 1).done.length;
  const exit = { type: 'not-started', code: 'EIO', message: 'no' } as const;
  sim.exit({ exit, failure: failure('storage') });
  assert.equal(incidentOf(run, 1).next?.attempt, 1);
  assert.equal(incidentOf(run, 1).done.length, before);
  assert.equal(incidentOf(run, 2).attempt, 1);
  assert.ok(incidentOf(run, 2).done.length > 0);
});

test('an attempt that fails before its first progress was told settles what came before it, too', () => {
  const run = crashed();
  run.sim.exit({ failure: exception('bang'), summary: steps(21, 22) });
  assert.deepEqual(incidentOf(run, 1).lost, { steps: 4, seconds: 4 });
  assert.equal(incidentOf(run, 2).lost, null);
});

test('without steps nobody knows what was lost: that is not nothing', () => {
  const sim = simulate();
  const run = watched(sim);
  sim.start();
  sim.exit({ failure: exception('boom') });
  const beats = { ...steps(), heartbeats: 1, startMs: 10, trainMs: 5 };
  sim.post({ type: 'progressed', summary: beats });
  assert.deepEqual([incidentOf(run, 1).outcome, incidentOf(run, 1).lost], ['recovered', null]);
});

test('what was waited for is told once, with how long it took', () => {
  const sim = simulate();
  const run = watched(sim);
  sim.start();
  sim.progress(1, 5);
  sim.waitingFor = '1.0 GiB of free space';
  sim.exit({ failure: failure('storage'), summary: steps(1, 5) });
  sim.post({ type: 'host-not-ready', waitingFor: '1.0 GiB of free space' });
  assert.equal(sim.state.name, 'waiting');
  sim.waitingFor = undefined;
  sim.pass(60_000);
  sim.post({ type: 'host-ready' });
  const { waitedFor, done } = incidentOf(run, 1);
  assert.deepEqual(waitedFor, ['1.0 GiB of free space']);
  assert.equal(done.filter(({ text }) => /waiting for 1\.0 GiB/.test(text)).length, 1);
  assert.ok(done.some(({ text }) => text === 'it was there after 1m 00s'));
});

for (const held of ['inspect', 'wait', 'check-host', 'launch'] as const) {
  test(`a supervisor that dies before it can ${held} leaves an incident that the next one goes on with`, () => {
    const sim = simulate();
    const run = watched(sim);
    sim.start();
    sim.progress(1, 24, [20]);
    sim.hold(held);
    sim.exit({ failure: exception('boom'), summary: steps(1, 24) });
    const known = incidentOf(run, 1);
    run.restart();
    // the attempt that was being launched turns out to be at work
    if (held === 'launch') sim.post({ type: 'adopted', pid: 7, alive: true, unwatchedMs: 0 });
    else sim.release();
    sim.progress(21);
    const { done, next, lost, outcome, number } = incidentOf(run, 1);
    assert.equal(run.written.size, 1);
    assert.deepEqual([number, next?.attempt, outcome], [1, 1, 'recovered']);
    assert.deepEqual(lost, { steps: 4, seconds: 4 });
    assert.deepEqual(done.slice(0, known.done.length), known.done, 'what was done stays told');
    assert.ok(done.some(({ text }) => /another one goes on with it/.test(text)));
  });
}

test('an incident that could not be written is made again from what the run remembers', () => {
  const sim = simulate();
  const run = watched(sim);
  sim.start();
  sim.progress(1, 24, [20]);
  sim.hold('wait');
  sim.exit({ failure: exception('boom'), summary: steps(1, 24) });
  run.written.clear();
  run.restart();
  sim.release();
  const { number, attempt, action, afterSeconds } = incidentOf(run, 1);
  assert.deepEqual([number, attempt, action, afterSeconds], [1, 0, 'retry 1 of 3', null]);
});

test('a run that nothing happens to has none, and a failure writes a few times only', () => {
  const sim = simulate();
  const run = watched(sim);
  sim.start();
  sim.progress(1, 100, [50, 100]);
  sim.stop();
  sim.exit({ exit: killedBy('SIGINT', 2), failure: failure('stopped'), summary: steps(1, 100) });
  assert.equal(run.writes(), 0);
  const other = crashed();
  other.sim.progress(21);
  assert.ok(other.writes() <= 8, `${other.writes()} writes`);
});
