import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tempDir } from '../support/temp-dir.js';
import { serve } from './serve-kit.js';

test('a worker that failed too often is told to stop, and a person how it may go on', async (t) => {
  const cwd = tempDir(t);
  const { running, call } = await serve(t, cwd, '--max-failures', '1');
  await call('PUT', '/v1/workers/w0', {});
  for (let n = 0; n < 2; n++) await call('POST', '/v1/workers/w0/failures', { reason: 'out of memory' });
  await running.untilStderr(
    /worker w0 failed \(its 2 failures so far\): out of memory; it is told to stop: it failed more than 1 time \(to let it go on DELETE \/v1\/workers\/w0 and register it again/,
  );
  assert.equal((await call('POST', '/v1/workers/w0/heartbeat', {})).body['shouldContinue'], false);
  running.kill('SIGTERM');
  await running.done;
  const again = await serve(t, cwd, '--max-failures', '1');
  assert.match(again.running.stderr, /\(1 worker known, 1 failed, 1 told to stop\)/);
  await again.call('DELETE', '/v1/workers/w0');
  await again.call('PUT', '/v1/workers/w0', {});
  assert.equal((await again.call('POST', '/v1/workers/w0/heartbeat', {})).body['shouldContinue'], true);
});
