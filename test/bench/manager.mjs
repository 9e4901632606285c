// The library's RecoveryManager in one process: a million heartbeats of ten thousand workers, its memory meanwhile, and
// how late it sees that a worker fell silent.
import { setTimeout as delay } from 'node:timers/promises';
import { RecoveryManager } from '../../dist/src/recovery/manager.js';
import { check, median, ms, option, printMachine, printTable, quantile, seconds } from './lib.mjs';
import { temporaryDir } from './lib.mjs';

const workers = option('workers', 10_000);
const count = option('count', 1_000_000);
const batch = 1000;
/** What the fourth quarter may have more than the second: less than the collector's own swing. */
const growthBound = 1.1;
/** The issue's: failure of any worker seen within its timeout plus this. */
const lateBoundMs = 250;
const timeoutMs = 3000;

const checkpointDir = temporaryDir('manager');
const ids = Array.from({ length: workers }, (_, index) => `worker-${index}`);
printMachine();
await rates();
await lateness();

async function rates() {
  const manager = await registered({ heartbeatInterval: 5 });
  await beatOneByOne(manager, count / 10); // the collector has found its size
  const rows = [['', 'wall', 'heartbeats a second', 'RSS by quarters, MB', 'fourth to the second']];
  for (const [name, beat] of [
    ['one by one', beatOneByOne],
    [`${batch} at once`, beatInBatches],
  ]) {
    const samples = [];
    const startedAt = performance.now();
    for (let part = 0; part < 100; part++) {
      await beat(manager, count / 100);
      samples.push(process.memoryUsage.rss() / 1e6);
    }
    const wallMs = performance.now() - startedAt;
    const quarters = [0, 25, 50, 75].map((from) => median(samples.slice(from, from + 25)));
    const growth = quarters[3] / quarters[1];
    rows.push([
      name,
      seconds(wallMs),
      Math.round(count / (wallMs / 1000)),
      quarters.map((mb) => mb.toFixed(1)).join('  '),
      growth.toFixed(3),
    ]);
    check(`RSS, ${name}, fourth quarter to the second`, growth, growthBound, ' ×');
  }
  printTable(rows);
  await manager.close();
}

/** Everyone beats once a second; every tenth stops at an instant of its own. */
async function lateness() {
  const manager = await registered({ heartbeatInterval: 1, heartbeatTimeout: timeoutMs / 1000 });
  const heardAt = new Map(ids.map((id) => [id, performance.now()]));
  const lateMs = [];
  const wrong = [];
  manager.on('failed', ({ worker: { workerId } }) => {
    if (Number(workerId.split('-')[1]) % 10 !== 0) wrong.push(workerId);
    lateMs.push(performance.now() - heardAt.get(workerId) - timeoutMs);
  });
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  for (let sent = 0; lateMs.length < workers / 10;) {
    // a tenth of a second's heartbeats at a time
    const due = Math.floor(((performance.now() - startedAt) / 1000) * workers);
    const beats = [];
    for (; sent < due; sent++) {
      const index = sent % workers;
      const round = Math.floor(sent / workers);
      if (index % 10 === 0 && round > 2 + (index % 7)) continue;
      heardAt.set(ids[index], performance.now());
      beats.push({ workerId: ids[index], currentBatch: round });
    }
    await manager.heartbeats(beats);
    await delay(100);
  }
  const wallMs = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpuBefore);
  await manager.close();
  printTable([
    [
      'silent workers',
      'late, median',
      'p99',
      'most',
      'called silent wrongly',
      `CPU at ${workers} heartbeats a second`,
    ],
    [
      lateMs.length,
      ms(median(lateMs)),
      ms(quantile(lateMs, 0.99)),
      ms(Math.max(...lateMs)),
      wrong.length,
      `${(((user + system) / 1000 / wallMs) * 100).toFixed(1)} %`,
    ],
  ]);
  check('a silent worker is seen after its timeout plus', Math.max(...lateMs), lateBoundMs, ' ms');
  check('before its timeout by', -Math.min(...lateMs), 0, ' ms');
  check('workers called silent that were not', wrong.length, 0);
}

async function registered(options) {
  const manager = new RecoveryManager({ ...options, checkpointDir });
  for (const id of ids) await manager.registerWorker(id);
  await manager.startMonitoring();
  return manager;
}

async function beatOneByOne(manager, n) {
  for (let sent = 0; sent < n; sent++) await manager.heartbeat(ids[sent % workers], { currentBatch: sent });
}

async function beatInBatches(manager, n) {
  for (let sent = 0; sent < n; sent += batch) {
    const beats = Array.from({ length: batch }, (_, index) => ({
      workerId: ids[(sent + index) % workers],
      currentBatch: sent,
    }));
    await manager.heartbeats(beats);
    // as a server does between two requests
    await new Promise((resolve) => setImmediate(resolve));
  }
}
