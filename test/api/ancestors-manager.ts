import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { RecoveryManager, type RecoveryManagerOptions } from '../../src/index.js';
import { atEnd, type TestEnd } from '../support/cleanup.js';
import { LedClock } from '../support/led-clock.js';
import { tempDir } from '../support/temp-dir.js';

export type Check = (t: TestEnd) => Promise<void>;

/** The rows of docs/ancestors.md under RecoveryManager, for programs in TypeScript. */
export const managerRows: Readonly<Record<string, Check>> = {
  'heartbeat_interval=5': async (t) => {
    const { manager, clock } = watching(t);
    await manager.registerWorker('w0');
    await manager.startMonitoring();
    await clock.pass(14_900);
    assert.equal((await manager.getWorker('w0'))?.status, 'active');
    await clock.pass(350);
    assert.equal((await manager.getWorker('w0'))?.status, 'failed');
  },

  'max_failures=3': async (t) => {
    const { manager } = watching(t);
    await manager.registerWorker('w0');
    for (let failure = 1; failure <= 3; failure++) {
      await manager.markWorkerFailed('w0');
      assert.equal(await manager.heartbeat('w0'), true, `after ${failure}`);
    }
    await manager.markWorkerFailed('w0');
    assert.equal(await manager.heartbeat('w0'), false);
    assert.equal((await manager.getWorker('w0'))?.status, 'failed');
  },

  "checkpoint_dir='checkpoints'": async (t) => {
    const before = process.cwd();
    process.chdir(tempDir(t));
    atEnd(t, () => process.chdir(before));
    const manager = closing(t, new RecoveryManager());
    const file = await manager.saveCheckpoint('w0', { step: 1 });
    assert.equal(path.dirname(file), path.resolve('checkpoints', 'w0'));
  },

  startMonitoring: async (t) => {
    const { manager, clock } = watching(t, { heartbeatInterval: 1 });
    await manager.registerWorker('w0');
    await clock.pass(60_000);
    assert.equal((await manager.getWorker('w0'))?.status, 'active');
    await manager.startMonitoring();
    await clock.pass(3_250);
    assert.equal((await manager.getWorker('w0'))?.status, 'failed');
  },

  stopMonitoring: async (t) => {
    const { manager, clock } = watching(t, { heartbeatInterval: 1 });
    await manager.startMonitoring();
    await manager.registerWorker('w0');
    assert.equal(await manager.heartbeat('w0'), true);
    await manager.stopMonitoring();
    await clock.pass(60_000);
    assert.equal((await manager.getWorker('w0'))?.status, 'active');
    assert.equal(await manager.heartbeat('w0'), false);
  },

  registerWorker: async (t) => {
    const { manager } = watching(t);
    const worker = await manager.registerWorker('w0', { currentBatch: 7 });
    assert.deepEqual([worker.workerId, worker.status, worker.currentBatch], ['w0', 'active', 7]);
    const file = await manager.saveCheckpoint('w0', { step: 7 });
    await manager.markWorkerFailed('w0');
    const again = await manager.registerWorker('w0');
    assert.deepEqual([again.failureCount, again.lastCheckpoint, again.status], [1, file, 'recovered']);
  },

  heartbeat: async (t) => {
    const { manager } = watching(t);
    assert.equal(await manager.heartbeat('w0'), false);
    await manager.registerWorker('w0');
    assert.equal(await manager.heartbeat('w0', { currentBatch: 1, loss: 0.5 }), true);
  },

  saveCheckpoint: async (t) => {
    const { manager, dir } = watching(t);
    const file = await manager.saveCheckpoint('w0', { step: 3, weights: [0.5, -1] });
    assert.ok(path.isAbsolute(file) && file.startsWith(dir));
    const bytes = readFileSync(file);
    assert.deepEqual(JSON.parse(bytes.toString()), { step: 3, weights: [0.5, -1] });
    const digest = createHash('sha256').update(bytes).digest('hex');
    assert.match(path.basename(file), new RegExp(String.raw`^\d{8}T\d{6}\.\d{3}Z-\d{6}\.${digest}\.json$`));
    await assert.rejects(manager.saveCheckpoint('w0', { loss: NaN }), /loss/);
  },

  loadCheckpoint: async (t) => {
    const { manager } = watching(t);
    assert.equal(await manager.loadCheckpoint('w0'), null);
    await manager.saveCheckpoint('w0', { step: 1 });
    const newest = await manager.saveCheckpoint('w0', { step: 2 });
    assert.deepEqual(await manager.loadCheckpoint('w0'), { step: 2 });
    writeFileSync(newest, '{"step":9}');
    assert.deepEqual(await manager.loadCheckpoint('w0'), { step: 1 });
    assert.ok(existsSync(newest));
  },

  getFailedWorkers: async (t) => {
    const { manager } = watching(t);
    for (const id of ['w0', 'w1', 'w2']) await manager.registerWorker(id);
    assert.deepEqual(await manager.getFailedWorkers(), []);
    await manager.markWorkerFailed('w2');
    await manager.markWorkerFailed('w0');
    assert.deepEqual((await manager.getFailedWorkers()).map(({ workerId }) => workerId).sort(), ['w0', 'w2']);
    await manager.heartbeat('w0');
    assert.deepEqual(
      (await manager.getFailedWorkers()).map(({ workerId }) => workerId),
      ['w2'],
    );
  },

  markWorkerFailed: async (t) => {
    const { manager } = watching(t);
    await manager.registerWorker('w0');
    const reasons: string[] = [];
    manager.on('failed', ({ reason }) => reasons.push(reason));
    assert.equal((await manager.markWorkerFailed('w0', 'its node is gone')).failureCount, 1);
    assert.equal((await manager.markWorkerFailed('w0', 'again')).failureCount, 2);
    assert.deepEqual(reasons, ['its node is gone', 'again']);
    await assert.rejects(manager.markWorkerFailed('w1'), /w1/);
  },

  getWorker: async (t) => {
    const { manager } = watching(t);
    await manager.registerWorker('w0');
    assert.equal((await manager.getWorker('w0'))?.workerId, 'w0');
    assert.equal(await manager.getWorker('w1'), null);
  },

  'worker.workerId': async (t) => {
    const { manager } = watching(t);
    const ids = ['w0', 'node-3:gpu_1', 'a@b.c'];
    for (const id of ids) assert.equal((await manager.registerWorker(id)).workerId, id);
    await assert.rejects(manager.registerWorker('../w0'), RangeError);
  },

  'worker.status': async (t) => {
    const { manager } = watching(t);
    const status = async (): Promise<string | undefined> => (await manager.getWorker('w0'))?.status;
    await manager.registerWorker('w0');
    assert.equal(await status(), 'active');
    await manager.markWorkerFailed('w0');
    assert.equal(await status(), 'failed');
    await manager.heartbeat('w0');
    assert.equal(await status(), 'recovered');
    await manager.heartbeat('w0');
    assert.equal(await status(), 'active');
  },

  'worker.lastCheckpoint': async (t) => {
    const { manager, dir } = watching(t);
    assert.equal((await manager.registerWorker('w0')).lastCheckpoint, null);
    await manager.saveCheckpoint('w0', { step: 1 });
    const newest = await manager.saveCheckpoint('w0', { step: 2 });
    assert.equal((await manager.getWorker('w0'))?.lastCheckpoint, newest);
    assert.equal(readdirSync(path.join(dir, 'w0')).length, 2);
    // another life of the same program finds it again
    const later = closing(t, new RecoveryManager({ checkpointDir: dir }));
    assert.equal((await later.registerWorker('w0')).lastCheckpoint, newest);
  },

  'worker.failureCount': async (t) => {
    const { manager, clock } = watching(t, { heartbeatInterval: 1 });
    assert.equal((await manager.registerWorker('w0')).failureCount, 0);
    await manager.startMonitoring();
    await clock.pass(60_000);
    assert.equal((await manager.getWorker('w0'))?.failureCount, 1, 'once for one silence');
    await manager.heartbeat('w0');
    await manager.heartbeat('w0');
    assert.equal((await manager.getWorker('w0'))?.failureCount, 1, 'its return takes nothing back');
    await clock.pass(60_000);
    assert.equal((await manager.getWorker('w0'))?.failureCount, 2);
  },

  'worker.lastHeartbeat': async (t) => {
    const { manager, clock } = watching(t);
    const { lastHeartbeat } = await manager.registerWorker('w0');
    assert.equal(lastHeartbeat, clock.now());
    await clock.pass(1_234);
    assert.equal((await manager.getWorker('w0'))?.lastHeartbeat, lastHeartbeat);
    await manager.heartbeat('w0');
    assert.equal((await manager.getWorker('w0'))?.lastHeartbeat, lastHeartbeat + 1_234);
  },

  'worker.currentBatch': async (t) => {
    const { manager } = watching(t);
    assert.equal((await manager.registerWorker('w0')).currentBatch, 0);
    await manager.heartbeat('w0', { currentBatch: 41 });
    await manager.heartbeat('w0');
    assert.equal((await manager.getWorker('w0'))?.currentBatch, 41);
    await assert.rejects(manager.heartbeat('w0', { currentBatch: -1 }), RangeError);
  },
};

/** A manager in a folder of its own, whose time the test leads. */
function watching(
  t: TestEnd,
  options: RecoveryManagerOptions = {},
): { manager: RecoveryManager; clock: LedClock; dir: string } {
  const dir = tempDir(t);
  const clock = new LedClock();
  return {
    manager: closing(t, new RecoveryManager({ checkpointDir: dir, ...options }, { clock })),
    clock,
    dir,
  };
}

function closing(t: TestEnd, manager: RecoveryManager): RecoveryManager {
  atEnd(t, () => manager.close());
  return manager;
}
