import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { resolvePolicy } from '../../src/config/resolve.js';
import type { Autopsy } from '../../src/failure/types.js';
import { initialState } from '../../src/policy/transition.js';
import type { Parts } from '../../src/supervisor/parts.js';
import { supervise } from '../../src/supervisor/supervise.js';
import { mono } from '../../src/util/os/boot.js';
import { ok } from '../../src/util/result.js';
import { launch } from '../engines/local/support.js';

const MiB = 1024 * 1024;

/** Bytes that this process has read in all, from whatever it was. */
const bytesRead = (): number => Number(/^rchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);

test('a failure is judged by the last 1 MiB of each log, and no more of a log of 100 MiB is read for it', async (t) => {
  // long lines: how fast they are split is not what is asked here
  const { worker } = await launch(t, ['sh', '-c', `yes "$(printf %060000d 1)" | head -c ${100 * MiB}`]);
  const exit = await worker.ended;
  assert.ok(worker.offsets.out === 100 * MiB, `${worker.offsets.out} bytes were printed`);
  let read = 0;
  let seen: Autopsy | undefined;
  const parts: Partial<Parts> = {
    policy: resolvePolicy({ maxRetries: 0 }),
    clock: {
      ...{ now: () => Date.now(), mono, random: () => 0 },
      after(delayMs, callback) {
        const timer = setTimeout(callback, delayMs);
        return () => clearTimeout(timer);
      },
    },
    bootId: 'boot',
    otherFolder: false,
    engine: {
      name: 'local',
      adopt: () => Promise.reject(new Error('nothing is left under way here')),
      launch: () =>
        Promise.resolve(
          ok({
            ...{ pid: worker.pid, alive: false, ended: Promise.resolve(exit), offsets: worker.offsets },
            drain: () => Promise.resolve(),
            isSuspended: () => false,
            stop: () => undefined,
            noteCheckpoint: () => undefined,
            kill: () => undefined,
            dumpStacks: () => Promise.resolve(),
            hostFacts: () => Promise.resolve({}),
            async tails(bytes: number) {
              const before = bytesRead();
              const tails = await worker.tails(bytes);
              read = bytesRead() - before;
              return tails;
            },
          }),
        ),
    },
    classify(autopsy) {
      seen = autopsy;
      return { kind: 'exception', reason: 'it failed', evidence: [], confidence: 1 };
    },
    ...{ resumeAdvice: () => '', scanEveryMs: 30_000, verifyBudgetMs: 0, settleMs: 0 },
    launchSpec: () => ({ attemptDir: '', attempt: 0, argv: ['true'], cwd: '', env: {}, runId: '', stopSignal: 'SIGTERM', stdin: 'null' }), // prettier-ignore
    ...{ persist: () => Promise.resolve(), observe: () => undefined, publish: () => undefined },
    ...{ heartbeat: () => undefined, notice: () => undefined },
    takeStopRequest: () => Promise.resolve(undefined),
    checkHost: () => Promise.resolve({ type: 'ready' }),
    heartbeatReader: () => () => [],
    codeFacts: () => Promise.resolve(undefined),
    runHook: () => Promise.resolve(undefined),
  };
  await supervise(parts as Parts, initialState()).ended;
  assert.deepEqual(
    seen?.tails.map(({ text }) => text.length),
    [0, MiB],
  );
  assert.ok(read >= MiB && read < 2.1 * MiB, `${read} bytes were read`);
});
