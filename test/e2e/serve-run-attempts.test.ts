import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { eventually } from '../support/eventually.js';
import type { Puppet } from '../support/puppet.js';
import { runCli } from '../support/run-cli.js';
import { summaryOf } from './kit.js';
import { beat, call, onStage, type Play, register, serverOf, stepIs } from './serve-run-kit.js';

/** Silent for so long, seconds, it counts as failed; it may fail never. */
const strict = { heartbeatInterval: 0.1, heartbeatTimeout: 0.3, maxFailures: 0 };

describe(
  'run --serve: the supervisor judges, and one attempt says nothing of the next',
  { concurrency: 2 },
  () => {
    test('a worker that was silent more often than it may goes on, and its beats count', async (t) => {
      const play = await onStage(t);
      const { worker, run } = play;
      await register(worker, 'w0', strict);
      for (const times of [1, 2, 3]) {
        await run.untilStdout(new RegExp(`worker w0 failed .*its ${times} failures? so far`));
        const answer = await beat(worker, 'w0', { currentBatch: times });
        assert.deepEqual(answer, { workerId: 'w0', shouldContinue: true, status: 'recovered' });
      }
      await stepIs(t, play, 3);
      await worker.exit(0);
      assert.equal((await run.done).code, 0);
    });

    test('where all workers were silent, the first beat of one counts', async (t) => {
      const play = await onStage(t);
      const { worker, run } = play;
      for (const id of ['a', 'b']) await register(worker, id);
      await beat(worker, 'a', { currentBatch: 1 });
      await stepIs(t, play, 1);
      for (const id of ['a', 'b']) {
        await call(worker, 'POST', `/v1/workers/${id}/failures`, {});
        await run.untilStdout(new RegExp(`worker ${id} failed`));
      }
      await beat(worker, 'b', { currentBatch: 2 });
      await stepIs(t, play, 2);
      await worker.exit(0);
      assert.equal((await run.done).code, 0);
    });

    test('monitoring that a worker stopped is on again for the next attempt', async (t) => {
      const play = await onStage(t);
      const { worker } = play;
      await register(worker, 'w0');
      assert.equal((await call(worker, 'PUT', '/v1/monitoring', { monitoring: false })).status, 200);
      const told = await beat(worker, 'w0', { currentBatch: 4 });
      assert.deepEqual(told, { workerId: 'w0', shouldContinue: false, status: 'active' });
      // it was heard all the same
      await stepIs(t, play, 4);
      await worker.exit(1);
      const second = await play.stage.next();
      await register(second, 'w0');
      const answer = await beat(second, 'w0', { currentBatch: 1 });
      assert.deepEqual(answer, { workerId: 'w0', shouldContinue: true, status: 'active' });
      await second.exit(0);
      assert.equal((await play.run.done).code, 0);
    });

    test('an upload that ends in the next attempt leaves nothing', async (t) => {
      const play = await onStage(t);
      await register(play.worker, 'w0');
      const ghost = await beginUpload(play.worker, '/v1/workers/w0/checkpoints', '{"by":"ghost"}');
      await play.worker.exit(1);
      const second = await play.stage.next();
      const saved = await call(second, 'POST', '/v1/workers/w0/checkpoints', { by: 'second' });
      assert.equal(saved.status, 201);
      assert.doesNotMatch(await ghost.finish(), / 201 /);
      const latest = await call(second, 'GET', '/v1/workers/w0/checkpoints/latest');
      assert.deepEqual(await latest.json(), { by: 'second' });
      const folder = path.join(play.cwd, '.trainguard/runs/play/serve/checkpoints/w0');
      await eventually(() => readdirSync(folder).length === 1, 'one file alone');
      await second.exit(0);
      assert.equal((await play.run.done).code, 0);
    });

    test('an Idempotency-Key of one attempt is another in the next', async (t) => {
      const play = await onStage(t);
      const keyed = async (worker: Puppet): Promise<(string | number | null)[]> => {
        const key = { 'idempotency-key': 'k1' };
        const answers = [
          await call(worker, 'PUT', '/v1/workers/w0', {}, key),
          await call(worker, 'POST', '/v1/workers/w0/checkpoints', { step: 10 }, key),
        ];
        return answers.flatMap(({ status, headers }) => [status, headers.get('idempotency-replayed')]);
      };
      assert.deepEqual(await keyed(play.worker), [201, null, 201, null]);
      assert.deepEqual(await keyed(play.worker), [201, 'true', 201, 'true']);
      await call(play.worker, 'POST', '/v1/workers/w0/checkpoints', { step: 20 });
      await play.worker.exit(1);
      const second = await play.stage.next();
      assert.deepEqual(await keyed(second), [201, null, 201, null]);
      const latest = await call(second, 'GET', '/v1/workers/w0/checkpoints/latest');
      assert.deepEqual(await latest.json(), { step: 10 });
      assert.deepEqual(await beat(second, 'w0', {}), {
        workerId: 'w0',
        shouldContinue: true,
        status: 'active',
      });
      await second.exit(0);
      assert.equal((await play.run.done).code, 0);
    });

    test('a worker that came and left without a beat says nothing of the training', async (t) => {
      const play = await onStage(t);
      const { worker } = play;
      await register(worker, 'helper');
      assert.equal((await call(worker, 'DELETE', '/v1/workers/helper')).status, 204);
      await worker.stdout('iter 240: loss 1.7101, time 17.58ms, mfu 21.17%\n');
      await stepIs(t, play, 240);
      await worker.exit(0);
      assert.equal((await play.run.done).code, 0);
    });

    test('when the last worker has done its part, no timeout between its steps is held against the training', async (t) => {
      const play = await onStage(t, ['--heartbeat-timeout', '20']);
      const { worker } = play;
      for (const id of ['a', 'b']) await register(worker, id);
      await beat(worker, 'a', { currentBatch: 3 });
      await call(worker, 'DELETE', '/v1/workers/b');
      await eventually(async () => (await patienceMs(t, play)) <= 20_000, 'the timeout that was set');
      await call(worker, 'DELETE', '/v1/workers/a');
      await eventually(async () => (await patienceMs(t, play)) > 60_000, 'more patience than between steps');
      await register(worker, 'c');
      await beat(worker, 'c', { currentBatch: 4 });
      await eventually(async () => (await patienceMs(t, play)) <= 20_000, 'the timeout that was set again');
      await worker.exit(0);
      const { run } = summaryOf(await play.run.done);
      assert.equal(run.totalFailures, 0);
    });
  },
);

/** For how long after its last heartbeat silence is borne, ms. */
async function patienceMs(t: TestContext, { cwd }: Play): Promise<number> {
  const { stdout } = await runCli(t, ['status', 'play', '--json'], { cwd }).done;
  const { runs } = JSON.parse(stdout) as { runs: Record<string, unknown>[] };
  const [heard, due] = [runs[0]?.['lastHeartbeatAt'], runs[0]?.['nextDeadlineAt']];
  assert.ok(typeof heard === 'string' && typeof due === 'string');
  return Date.parse(due) - Date.parse(heard);
}

/** Sends half a body, once the server waits for it. */
async function beginUpload(
  worker: Puppet,
  to: string,
  body: string,
): Promise<{ finish: () => Promise<string> }> {
  const { url, token } = serverOf(worker);
  const { port, pathname } = new URL(url);
  const socket = net.connect(Number(port), '127.0.0.1');
  let answer = '';
  socket.setEncoding('latin1').on('data', (text: string) => (answer += text));
  // cut off while it sends, as it should be
  socket.on('error', () => undefined);
  const closed = new Promise((resolve) => socket.once('close', resolve));
  const half = Math.floor(body.length / 2);
  socket.write(
    `POST ${pathname}${to} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n`,
  );
  await eventually(() => answer.includes('100 Continue'), 'that the server waits for the body');
  socket.write(body.slice(0, half));
  return {
    /** @returns all that was answered until the connection ended */
    async finish() {
      if (!socket.destroyed) socket.end(body.slice(half));
      await closed;
      return answer;
    },
  };
}
