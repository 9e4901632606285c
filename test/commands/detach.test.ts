import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { startDetached } from '../../src/commands/detach.js';
import { atEnd } from '../support/cleanup.js';
import { processAlive } from '../support/process-alive.js';
import { tempDir } from '../support/temp-dir.js';

test('a supervisor that lives on without a last word is not waited for', async (t) => {
  const script = path.join(tempDir(t), 'silent.cjs');
  writeFileSync(script, "require('node:fs').closeSync(3); setInterval(() => {}, 1000);");
  const own = process.argv[1] ?? '';
  process.argv[1] = script;
  const started = await startDetached(['run'], () => undefined).finally(() => {
    process.argv[1] = own;
  });
  assert.ok(!started.ok);
  const pid = Number(/\(pid (\d+)\) is at work but did not say/.exec(started.error.message)?.[1]);
  atEnd(t, () => void process.kill(pid, 'SIGKILL'));
  assert.ok(processAlive(pid));
});
