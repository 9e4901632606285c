import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { WorkerStatus } from '../../src/recovery/types.js';
import { type Outcome, WorkerTable } from '../../src/recovery/worker-table.js';
import { chance } from './chance.js';

// The table against the plainest thing that could work: every deadline in a list, all of it looked at each time.

const tickMs = 50;
const defaults = { heartbeatTimeoutMs: 600, maxFailures: 2 };

interface Plain {
  status: WorkerStatus;
  failures: number;
  batch: number;
  timeoutMs: number;
  /** ms; Infinity: nobody waits for it. */
  deadline: number;
}

class Model {
  readonly workers = new Map<string, Plain>();
  watch: boolean | undefined;
  lastTick = 0;
  now = 0;

  /** Everything that happens notices first that nobody watched for a while. */
  notice(): void {
    const late = this.now - this.lastTick - tickMs;
    if (this.watch !== true || late <= 1000) return;
    for (const one of this.workers.values()) one.deadline += late;
    this.lastTick = this.now;
  }

  register(id: string, batch: number | undefined, timeoutMs: number | undefined): void {
    const one = this.workers.get(id) ?? {
      status: 'active' as const,
      failures: 0,
      batch: 0,
      timeoutMs: defaults.heartbeatTimeoutMs,
      deadline: Infinity,
    };
    this.workers.set(id, one);
    one.batch = batch ?? one.batch;
    one.timeoutMs = timeoutMs ?? one.timeoutMs;
    if (one.status === 'failed' && one.failures <= defaults.maxFailures) one.status = 'recovered';
    if (one.status !== 'failed') this.expect(one);
  }

  beat(id: string, batch: number | undefined): boolean {
    const one = this.workers.get(id);
    if (!one) return false;
    one.batch = batch ?? one.batch;
    if (this.watch === false || one.failures > defaults.maxFailures) return false;
    one.status = one.status === 'failed' ? 'recovered' : 'active';
    this.expect(one);
    return true;
  }

  fail(one: Plain): void {
    one.status = 'failed';
    one.failures++;
    one.deadline = Infinity;
  }

  monitor(on: boolean): void {
    if (on && this.watch !== true) {
      this.lastTick = this.now;
      for (const one of this.workers.values())
        if (one.status !== 'failed') one.deadline = this.now + one.timeoutMs;
    }
    if (!on) for (const one of this.workers.values()) one.deadline = Infinity;
    this.watch = on;
  }

  tick(): void {
    if (this.watch !== true) return;
    this.lastTick = this.now;
    for (const one of this.workers.values()) if (one.deadline <= this.now) this.fail(one);
  }

  expect(one: Plain): void {
    if (this.watch === true) one.deadline = this.now + one.timeoutMs;
  }
}

for (const seed of [1, 2, 3, 4, 5]) {
  test(`does what the plain model does, over random steps from seed ${seed}`, () => {
    const random = chance(seed);
    const below = (n: number): number => Math.floor(random() * n);
    const table = new WorkerTable(defaults);
    const model = new Model();
    const kept = new Map<string, unknown>();
    const seen = { failures: 0, recoveries: 0, stops: 0 };
    for (let step = 0; step < 6000; step++) {
      const now = { at: model.now, mono: model.now };
      const id = `w${below(6)}`;
      const batch = random() < 0.5 ? below(1000) : undefined;
      const beat = batch === undefined ? {} : { currentBatch: batch };
      const what = random();
      let outcome: Outcome | undefined;
      if (what < 0.4) {
        model.now += random() < 0.01 ? tickMs * below(200) : tickMs;
        model.notice();
        model.tick();
        outcome = table.tick({ at: model.now, mono: model.now });
      } else if (what < 0.85) {
        model.notice();
        const heard = table.beat(id, beat, now);
        assert.equal(heard.answer.shouldContinue, model.beat(id, batch));
        if (!heard.answer.shouldContinue) seen.stops++;
        outcome = heard;
      } else if (what < 0.9) {
        const timeoutMs = random() < 0.3 ? 1 + below(3000) : undefined;
        model.notice();
        model.register(id, batch, timeoutMs);
        outcome = table.register(id, beat, timeoutMs === undefined ? {} : { heartbeatTimeoutMs: timeoutMs }, null, now); // prettier-ignore
      } else if (what < 0.93) {
        outcome = table.fail(id, 'x', now);
        const one = model.workers.get(id);
        if (one) model.fail(one);
      } else if (what < 0.97) {
        outcome = table.remove(id, now);
        model.workers.delete(id);
      } else {
        const on = random() < 0.8;
        outcome = table.monitor(on, now);
        model.monitor(on);
      }
      assert.deepEqual(
        table.list().map(({ workerId, status, failureCount, currentBatch }) => [workerId, status, failureCount, currentBatch]), // prettier-ignore
        [...model.workers].map(([workerId, { status, failures, batch }]) => [
          workerId,
          status,
          failures,
          batch,
        ]),
        `seed ${seed}, step ${step}`,
      );
      for (const change of outcome?.changes ?? []) {
        if (change.type === 'worker') kept.set(change.worker.workerId, change.worker);
        else if (change.type === 'gone') kept.delete(change.workerId);
      }
      for (const { type } of outcome?.events ?? []) {
        if (type === 'failed') seen.failures++;
        if (type === 'recovered') seen.recoveries++;
      }
    }
    // who keeps every change knows what the table knows
    assert.deepEqual([...kept.values()], table.list());
    assert.ok(seen.failures > 100 && seen.recoveries > 50 && seen.stops > 50, JSON.stringify(seen));
  });
}
