import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { guard, kindsOf, summaryOf } from './kit.js';
import { beat, call, metrics, onStage, register, stepIs } from './serve-run-kit.js';

describe('run --serve: heartbeats by HTTP count like heartbeat lines', { concurrency: 2 }, () => {
  test('a worker that prints nothing has a step, a total and a loss', async (t) => {
    const play = await onStage(t);
    await register(play.worker, 'w0');
    await beat(play.worker, 'w0', { currentBatch: 7, totalSteps: 20, loss: 0.5 });
    await stepIs(t, play, 7);
    await beat(play.worker, 'w0', { currentBatch: 20, totalSteps: 20, loss: 0.25 });
    await stepIs(t, play, 20);
    await play.worker.exit(0);
    const ended = await play.run.done;
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(
      metrics(play).map(({ heartbeat: { step, loss } }) => [step, loss]),
      [
        [7, 0.5],
        [20, 0.25],
      ],
    );
  });

  test('silence by HTTP is a hang, and NaN is a failure of numbers', async (t) => {
    const play = await onStage(t, ['--heartbeat-timeout', '4', '--max-retries', '2']);
    await register(play.worker, 'w0');
    await beat(play.worker, 'w0', { currentBatch: 3 });
    const second = await play.stage.next();
    await register(second, 'w0');
    for (const step of [1, 2, 3]) await beat(second, 'w0', { currentBatch: step, loss: 'NaN' });
    const third = await play.stage.next();
    await third.exit(0);
    const { run } = summaryOf(await play.run.done);
    assert.deepEqual(kindsOf(run), ['hang', 'numeric']);
  });

  test('of several workers one speaks for the training, and another when it has failed', async (t) => {
    const play = await onStage(t);
    const { worker } = play;
    await register(worker, 'a');
    await register(worker, 'b');
    await beat(worker, 'a', { currentBatch: 5 });
    await beat(worker, 'b', { currentBatch: 3 });
    await stepIs(t, play, 5);
    const failed = await call(worker, 'POST', '/v1/workers/a/failures', { reason: 'its node is gone' });
    assert.equal(failed.status, 200);
    await beat(worker, 'b', { currentBatch: 9 });
    await stepIs(t, play, 9);
    await play.run.untilStdout(/worker a failed at batch 5 .*: its node is gone/);
    await worker.exit(0);
    assert.equal((await play.run.done).code, 0);
  });

  test('a supervisor that was killed comes back to the same address, and the workers with it', async (t) => {
    const play = await onStage(t);
    const { worker } = play;
    await register(worker, 'w0');
    await beat(worker, 'w0', { currentBatch: 7 });
    const saved = await call(worker, 'POST', '/v1/workers/w0/checkpoints', { batch: 7 });
    assert.equal(saved.status, 201);
    await stepIs(t, play, 7);
    play.run.kill('SIGKILL');
    await play.run.done;
    // without the flag: the worker that lives knows the address
    const heir = guard(t, play.stage.command, { cwd: play.cwd, flags: ['--name', 'play'] });
    await heir.untilStdout(/"type":"adopted"/);
    const answer = await beat(worker, 'w0', { currentBatch: 8 });
    assert.deepEqual(answer, { workerId: 'w0', shouldContinue: true, status: 'active' });
    await stepIs(t, play, 8);
    const kept = await call(worker, 'GET', '/v1/workers/w0/checkpoints/latest');
    assert.deepEqual(await kept.json(), { batch: 7 });
    await worker.exit(0);
    const ended = await heir.done;
    assert.equal(ended.code, 0, ended.stderr);
  });

  test('who outlives its attempt is told to stop, and does not speak for the next', async (t) => {
    const play = await onStage(t, ['--heartbeat-timeout', '5', '--max-retries', '2']);
    const ghost = play.worker;
    await register(ghost, 'w0');
    await beat(ghost, 'w0', { currentBatch: 500 });
    await ghost.exit(1);
    const second = await play.stage.next();
    await register(second, 'w0');
    await beat(second, 'w0', { currentBatch: 1 });
    // the second hangs from here on, while the first's worker on another machine beats on
    for (const path of ['/v1/workers/w0/heartbeat', '/v1/workers/w0/checkpoints']) {
      assert.equal((await call(ghost, 'POST', path, { currentBatch: 501 })).status, 410);
    }
    assert.equal((await call(ghost, 'PUT', '/v1/workers/w0', {})).status, 410);
    const third = await play.stage.next();
    await third.exit(0);
    const { run } = summaryOf(await play.run.done);
    assert.deepEqual(kindsOf(run), ['unknown', 'hang']);
    assert.equal(run.failures[1]?.step, 1);
  });

  test("a token in the user's shell is not the worker's", async (t) => {
    const play = await onStage(t, [], { TRAINGUARD_TOKEN: 'of-another-server' });
    assert.equal(play.worker.hello.env['TRAINGUARD_TOKEN'], undefined);
    await play.worker.exit(0);
    await play.run.done;
  });

  test('a new attempt begins with no worker, and finds the checkpoints of the last', async (t) => {
    const play = await onStage(t);
    await register(play.worker, 'w0');
    assert.equal((await call(play.worker, 'POST', '/v1/workers/w0/checkpoints', [1])).status, 201);
    await call(play.worker, 'POST', '/v1/workers/w0/failures', {});
    await play.worker.exit(1);
    const second = await play.stage.next();
    const before = await call(second, 'GET', '/v1/workers');
    assert.deepEqual(await before.json(), { workers: [], next: null });
    const worker = (await (await register(second, 'w0')).json()) as Record<string, unknown>;
    assert.equal(worker['failureCount'], 0);
    assert.match(String(worker['lastCheckpoint']), /w0/);
    await second.exit(0);
    assert.equal((await play.run.done).code, 0);
  });
});
