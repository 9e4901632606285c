import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchMain } from '../../../src/engines/local/main-watch.js';
import { markerName } from '../../../src/engines/local/ours.js';
import { readProcess } from '../../../src/util/os/proc.js';
import { runProgram } from '../../support/run-cli.js';
import { lives, tempDir, until } from './support.js';

const leader = ['setsid', '-f', 'sh', '-c', 'echo $$; exec sleep 60'] as const;

for (const [who, runId, ends] of [
  ['a shim that does not end after its command is made to', 'mine', true],
  ['a stranger that has the number of a shim is left alone', 'yours', false],
] as const) {
  test(who, async (t) => {
    const env = { [markerName(runId)]: '1' };
    const pid = Number((await runProgram(t, leader, { env }).untilStdout(/^\d+/))[0]);
    const startTime = (readProcess(pid)?.startTime ?? 0) + 1;
    let endShim = (): void => undefined;
    const shimExited = new Promise<void>((resolve) => (endShim = resolve));
    let looks = 0;
    const exit = watchMain({
      attemptDir: tempDir(t),
      main: { pid: process.pid, startTime, session: pid }, // a process that is gone: its pid is another's
      marker: markerName('mine'),
      shimExited,
      clock: {
        after(_delay, callback) {
          const soon = setImmediate(callback);
          looks++;
          return () => clearImmediate(soon);
        },
      },
    });
    await until('it was looked at often enough', () => looks > 20);
    if (ends) await until('its end', () => !lives(pid));
    assert.equal(lives(pid), !ends);
    endShim();
    assert.deepEqual(await exit, { type: 'unknown' });
  });
}
