import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event } from '../../src/policy/event.js';
import { initialState } from '../../src/policy/transition.js';
import { parseHeartbeats } from '../../src/progress/heartbeat.js';
import type { Parts } from '../../src/supervisor/parts.js';
import type { CheckpointStore, Clock, Worker, WorkerEvents } from '../../src/supervisor/ports.js';
import { supervise, type Supervisor } from '../../src/supervisor/supervise.js';
import { ok } from '../../src/util/result.js';
import { resolvePolicy } from '../../src/config/resolve.js';

/** Virtual time: timers run in order, as fast as the loop answers; `run` moves it on. */
function virtualClock(): Clock & { run(untilMs: number): Promise<void>; pass(ms: number): Promise<void> } {
  let now = 0;
  const timers = new Set<{ at: number; callback: () => void }>();
  const after = (delayMs: number, callback: () => void): (() => void) => {
    const timer = { at: now + delayMs, callback };
    timers.add(timer);
    return () => timers.delete(timer);
  };
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    now: () => 1_700_000_000_000 + now,
    mono: () => now,
    random: () => 0,
    after,
    pass: (ms) => new Promise((resolve) => after(ms, resolve)),
    async run(untilMs) {
      for (;;) {
        await settle();
        const next = [...timers].sort((a, b) => a.at - b.at)[0];
        if (!next || next.at > untilMs) break;
        timers.delete(next);
        now = Math.max(now, next.at);
        next.callback();
      }
      now = untilMs;
    },
  };
}

/**
 * A run whose worker beats once and then is silent; its checkpoint folder takes `scanMs` to look at.
 * @param between how long a look takes while no worker lives
 */
function silentRun(
  scanMs: number,
  between: (signal: AbortSignal | undefined) => Promise<void> = () => Promise.resolve(),
): {
  supervisor: Supervisor;
  clock: ReturnType<typeof virtualClock>;
  seen: Event[];
  scans: () => number;
} {
  const clock = virtualClock();
  const seen: Event[] = [];
  let events: WorkerEvents | undefined;
  let scans = 0;
  let end: () => void = () => undefined;
  const worker: Worker = {
    pid: 7,
    alive: true,
    ended: new Promise((resolve) => {
      end = () => resolve({ type: 'signal', signal: 'SIGTERM', number: 15 });
    }),
    drain: () => Promise.resolve(),
    offsets: { out: 0, err: 0 },
    isSuspended: () => false,
    stop: () => end(),
    noteCheckpoint: () => undefined,
    kill: () => end(),
    dumpStacks: () => Promise.resolve(),
    tails: () => Promise.resolve([]),
    hostFacts: () => Promise.resolve({}),
  };
  const store: CheckpointStore = {
    dir: '/ckpts',
    vault: undefined,
    layout: 'generic',
    settleMs: 2000,
    guessed: false,
    recover: () => Promise.resolve(ok([])),
    retain: () => Promise.resolve(),
    prune: () => Promise.resolve({ ok: true, value: { keep: [], drop: [] } }),
    async inspect({ live, signal }) {
      if (!live) await between(signal);
      if (live) {
        scans++;
        await clock.pass(scanMs);
      }
      return ok({ checkpoints: [], foreign: [] });
    },
    credit: () => Promise.resolve(),
    mark: () => Promise.resolve(ok(undefined)),
    pin: () => Promise.resolve(ok(undefined)),
    keep: () => Promise.resolve(),
    vet: () => Promise.resolve(ok(undefined)),
    rollback: () => Promise.resolve(ok({ tx: 'tx', moved: [], restored: [], others: [] })),
    plan: () => Promise.resolve(ok({ moves: [], restores: [], others: [] })),
    undo: () => Promise.resolve(ok({ tx: 'tx', moved: [], restored: [], others: [] })),
    best: () => Promise.resolve(undefined),
    watch: () => () => undefined,
    close: () => Promise.resolve(),
  };
  const parts: Parts = {
    policy: resolvePolicy({ maxRetries: 0 }),
    clock,
    bootId: 'boot',
    store,
    otherFolder: false,
    engine: {
      name: 'local',
      adopt: () => Promise.reject(new Error('nothing is left under way here')),
      launch(_spec, told) {
        events = told;
        return Promise.resolve(ok(worker));
      },
    },
    resumeAdvice: () => '',
    classify: () => ({ kind: 'killed', reason: 'killed', evidence: [], confidence: 1 }),
    scanEveryMs: 30_000,
    verifyBudgetMs: 0,
    settleMs: 2000,
    adoptSpec: () => assert.fail('nothing is left under way here'),
    launchSpec: () => ({
      attemptDir: '/a',
      attempt: 0,
      argv: ['true'],
      cwd: '/',
      env: {},
      runId: 'r',
      stopSignal: 'SIGTERM',
      stdin: 'null',
    }),
    persist: (saved) => {
      seen.push(...saved);
      return Promise.resolve();
    },
    observe: ({ event }) => {
      if (event.type === 'launched') clock.after(1000, () => events?.line('heartbeat step=1 loss=1', 'out'));
    },
    publish: () => undefined,
    heartbeat: () => undefined,
    notice: () => undefined,
    takeStopRequest: () => Promise.resolve(undefined),
    checkHost: () => Promise.resolve({ type: 'ready' }),
    heartbeatReader: () => parseHeartbeats,
    codeFacts: () => Promise.resolve(undefined),
    runHook: () => Promise.resolve(undefined),
  };
  const supervisor = supervise(parts, initialState());
  return { supervisor, clock, seen, scans: () => scans };
}

for (const scanMs of [20, 3000]) {
  test(`a hang is seen when it is due, and warned of once, with scans of ${scanMs} ms`, async () => {
    const { clock, seen, scans } = silentRun(scanMs);
    await clock.run(60 * 60_000);
    const times = (type: Event['type']): number[] =>
      seen.filter((e) => e.type === type).map((e) => e.mono / 1000);
    // 30 minutes after the heartbeat at 1 s, and half as long again
    const [warned, ...more] = times('silence-warning');
    assert.deepEqual(more, []);
    assert.ok(warned !== undefined && warned >= 1801 && warned <= 1806, `warned at ${warned} s`);
    const [due] = times('deadline');
    assert.ok(due !== undefined && due >= 2701 && due <= 2706, `a hang at ${due} s`);
    assert.equal(times('progressed').length, 1);
    // one every 30 s or every 50 times its cost, and one each for the warning and the hang
    assert.ok(scans() <= 100, `${scans()} scans`);
    assert.equal(seen.at(-1)?.type, 'inspected');
  });
}

test('a look at the folder is given up once a person stops the run', async () => {
  const { supervisor } = silentRun(20, (signal) => {
    if (!signal) return Promise.resolve();
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
  });
  supervisor.requestStop('interrupt');
  assert.equal((await supervisor.ended).outcome, 'stopped');
});
