import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { type MetricRecord, MetricsFile, readMetrics } from '../../src/runs/metrics.js';
import { files } from '../../src/util/os/durable.js';

let dir: string;
let file: string;
beforeEach(async () => {
  dir = await fs.mkdtemp(path.join(os.tmpdir(), 'tg-metrics-'));
  file = path.join(dir, 'metrics.jsonl');
});
afterEach(async () => {
  mock.restoreAll();
  await fs.rm(dir, { recursive: true });
});

const record = (step: number): MetricRecord => ({
  at: 1000 + step,
  attempt: 0,
  heartbeat: { step, loss: step === 3 ? NaN : 1 / (step + 1), metrics: {} },
  offsets: { out: step * 10, err: 0 },
});

async function open(maxLines?: number): Promise<MetricsFile> {
  const result = await MetricsFile.open(file, maxLines);
  assert.ok(result.ok, result.ok ? '' : result.error.message);
  return result.value;
}

async function steps(): Promise<(number | undefined)[]> {
  const read = await readMetrics(file);
  assert.ok(read.ok);
  return read.value.map(({ heartbeat }) => heartbeat.step);
}

test('heartbeats are buffered, flushed and read again with their offsets, NaN and all', async () => {
  const metrics = await open();
  for (let step = 0; step < 5; step++) metrics.add(record(step));
  assert.deepEqual(await steps(), []);
  assert.ok((await metrics.flush()).ok);
  const read = await readMetrics(file);
  assert.deepEqual(
    read.ok && read.value,
    [0, 1, 2, 3, 4].map((n) => ({ n, ...record(n) })),
  );
  assert.equal((await fs.stat(file)).mode & 0o777, 0o600);
});

test('a long run keeps every 2nd, 4th, 8th… of all heartbeats, evenly, under the bound', async () => {
  const metrics = await open(100);
  for (let step = 0; step < 10_000; step++) {
    metrics.add(record(step));
    if (step % 7 === 0) assert.ok((await metrics.flush()).ok);
  }
  await metrics.flush();
  const kept = await steps();
  assert.ok(kept.length > 30 && kept.length <= 100, `${kept.length} lines`);
  const gaps = new Set(kept.slice(1).map((step, i) => step! - kept[i]!));
  assert.equal(gaps.size, 1, `uneven: ${[...gaps].join()}`);
  assert.equal(kept[0], 0);
});

test('what is never flushed stays bounded too', async () => {
  const metrics = await open(100);
  for (let step = 0; step < 10_000; step++) metrics.add(record(step));
  await metrics.flush();
  const kept = await steps();
  assert.ok(kept.length > 30 && kept.length <= 100, `${kept.length} lines`);
});

test('the next supervisor goes on with the same numbers and stride; a torn end is overwritten', async () => {
  const first = await open(10);
  for (let step = 0; step < 40; step++) first.add(record(step));
  await first.flush();
  const before = await steps();
  await fs.appendFile(file, '{"schemaVersion":1,"n":41,"heartb');
  const second = await open(10);
  for (let step = 40; step < 80; step++) second.add(record(step));
  await second.flush();
  const after = await steps();
  assert.ok(after.length <= 10 && after.some((step) => step! >= 64), after.join());
  assert.ok(before.some((step) => after.includes(step)));
  for (const line of (await fs.readFile(file, 'utf8')).trim().split('\n')) JSON.parse(line);
});

test('a full disk keeps the heartbeats for the next flush, without doubles', async () => {
  const metrics = await open();
  metrics.add(record(0));
  await metrics.flush();
  metrics.add(record(1));
  mock.method(files, 'open', () =>
    Promise.reject(Object.assign(new Error('ENOSPC: no'), { code: 'ENOSPC' })),
  );
  const result = await metrics.flush();
  assert.equal(!result.ok && result.error.code, 'ENOSPC');
  mock.restoreAll();
  metrics.add(record(2));
  assert.ok((await metrics.flush()).ok);
  assert.deepEqual(await steps(), [0, 1, 2]);
});

test('a line in between that is damaged costs only itself', async () => {
  const metrics = await open();
  for (let step = 0; step < 3; step++) metrics.add(record(step));
  await metrics.flush();
  const lines = (await fs.readFile(file, 'utf8')).split('\n');
  await fs.writeFile(file, [lines[0], 'null', '{"n":', lines[2], ''].join('\n'));
  assert.deepEqual(await steps(), [0, 2]);
});
