import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { UnknownWorkerError } from '../../src/recovery/arguments.js';
import { RecoveryManager } from '../../src/recovery/manager.js';
import type { RecoveryInternals, WorkerChange, WorkerLog } from '../../src/recovery/ports.js';
import type { Beat, RecoveryEvent, RecoveryManagerOptions } from '../../src/recovery/types.js';
import { atEnd, type TestEnd } from '../support/cleanup.js';
import { LedClock } from '../support/led-clock.js';
import { root } from '../support/root.js';
import { runProgram } from '../support/run-cli.js';
import { tempDir } from '../support/temp-dir.js';

const start = 1_700_000_000_000;

describe('a worker from its registration to its end', () => {
  test('registers, beats, falls silent, comes back', async (t) => {
    const { manager, clock, told } = watching(t);
    await manager.startMonitoring();
    assert.deepEqual(await manager.registerWorker('w0', { currentBatch: 4, lr: 0.1 }), {
      workerId: 'w0',
      status: 'active',
      lastCheckpoint: null,
      failureCount: 0,
      lastHeartbeat: start,
      currentBatch: 4,
    });
    await clock.pass(10_000);
    assert.equal(await manager.heartbeat('w0', { currentBatch: 5 }), true);
    await clock.pass(15_250);
    assert.deepEqual(await manager.getFailedWorkers(), [
      {
        workerId: 'w0',
        status: 'failed',
        lastCheckpoint: null,
        failureCount: 1,
        lastHeartbeat: start + 10_000,
        currentBatch: 5,
      },
    ]);
    assert.equal(await manager.heartbeat('w0'), true);
    assert.equal((await manager.getWorker('w0'))?.status, 'recovered');
    assert.deepEqual(await manager.getFailedWorkers(), []);
    assert.equal(await manager.heartbeat('w0'), true);
    assert.equal((await manager.getWorker('w0'))?.status, 'active');
    assert.equal(await manager.unregisterWorker('w0'), true);
    assert.equal(await manager.unregisterWorker('w0'), false);
    assert.equal(await manager.getWorker('w0'), null);
    assert.equal(await manager.heartbeat('w0'), false);
    assert.deepEqual(
      told.map(({ type, at }) => [type, at - start]),
      [
        ['monitoring', 0],
        ['registered', 0],
        ['failed', 25_000],
        ['recovered', 25_250],
        ['active', 25_250],
        ['unregistered', 25_250],
      ],
    );
  });

  test('its own timeout counts', async (t) => {
    const { manager, clock, told } = watching(t);
    await manager.startMonitoring();
    await manager.registerWorker('slow', {}, { heartbeatTimeout: 60 });
    await manager.registerWorker('quick', {}, { heartbeatInterval: 0.5 });
    await clock.pass(59_950);
    assert.deepEqual(failures(told), [['quick', 1500]]);
    await clock.pass(100);
    assert.deepEqual(failures(told), [
      ['quick', 1500],
      ['slow', 60_000],
    ]);
  });

  test('more failures than it may have: it is told to stop, for good', async (t) => {
    const { manager } = watching(t, { maxFailures: 1 });
    await manager.registerWorker('w0');
    await manager.markWorkerFailed('w0');
    assert.equal(await manager.heartbeat('w0'), true);
    assert.equal((await manager.markWorkerFailed('w0')).failureCount, 2);
    assert.equal((await manager.markWorkerFailed('w0')).failureCount, 3);
    assert.equal(await manager.heartbeat('w0'), false);
    assert.equal((await manager.registerWorker('w0')).status, 'failed');
    assert.deepEqual(await manager.heartbeats([{ workerId: 'w0' }]), [
      { workerId: 'w0', shouldContinue: false, status: 'failed' },
    ]);
  });

  test('the reason is told, and a long one cut', async (t) => {
    const { manager, told } = watching(t);
    await manager.registerWorker('w0');
    await manager.markWorkerFailed('w0', 'x'.repeat(5000));
    await manager.markWorkerFailed('w0');
    const reasons = told.flatMap((event) => (event.type === 'failed' ? [event.reason] : []));
    assert.deepEqual(reasons, ['x'.repeat(2000), 'marked as failed']);
  });
});

describe('monitoring', () => {
  test('before it begins nobody is failed by silence, and heartbeats are answered with true', async (t) => {
    const { manager, clock } = watching(t);
    await manager.registerWorker('w0');
    await clock.pass(1_000_000);
    assert.equal(manager.monitoring, false);
    assert.equal(await manager.heartbeat('w0'), true);
    assert.equal((await manager.getWorker('w0'))?.status, 'active');
  });

  test('once stopped every heartbeat is answered with false, until it begins again with whole timeouts', async (t) => {
    const { manager, clock, told } = watching(t);
    await manager.registerWorker('w0');
    await manager.startMonitoring();
    await clock.pass(14_000);
    await manager.stopMonitoring();
    assert.equal(await manager.heartbeat('w0'), false);
    await clock.pass(1_000_000);
    await manager.startMonitoring();
    await clock.pass(14_950);
    assert.deepEqual(failures(told), []);
    await clock.pass(100);
    assert.deepEqual(failures(told), [['w0', 14_000 + 1_000_000 + 15_000]]);
  });

  test('what is remembered goes on: who was watched is, with a whole timeout', async (t) => {
    const first = watching(t, { maxFailures: 9 });
    const kept = keeping();
    const remembering = new RecoveryManager({ checkpointDir: first.dir }, { ...first.internals, log: kept });
    await remembering.startMonitoring();
    await remembering.registerWorker('a', { currentBatch: 3 }, { heartbeatTimeout: 2 });
    await remembering.registerWorker('b');
    await remembering.registerWorker('gone');
    await remembering.unregisterWorker('gone');
    await remembering.markWorkerFailed('b');
    await remembering.close();

    const { manager, clock, told } = watching(t, {}, { remembered: kept.remembered() });
    assert.equal(manager.monitoring, true);
    assert.deepEqual(manager.getWorkers(), remembering.getWorkers());
    await clock.pass(1950);
    assert.deepEqual(failures(told), []);
    await clock.pass(50);
    assert.deepEqual(failures(told), [['a', 2000]]);
    assert.equal(await manager.heartbeat('b'), true);
  });

  test('what is remembered as stopped is stopped', async (t) => {
    const { manager } = watching(t, {}, { remembered: { workers: [], monitoring: false } });
    await manager.registerWorker('w0');
    assert.equal(await manager.heartbeat('w0'), false);
  });

  test("with this host's own time: silence is seen, by a timer that keeps no process alive", async (t) => {
    const manager = new RecoveryManager({ heartbeatInterval: 0.02, checkpointDir: tempDir(t) });
    atEnd(t, () => manager.close());
    const alive = setTimeout(() => assert.fail('it was not seen within a minute'), 60_000);
    atEnd(t, () => clearTimeout(alive));
    await manager.startMonitoring();
    await manager.registerWorker('w0');
    const [event] = (await once(manager, 'failed')) as [Extract<RecoveryEvent, { type: 'failed' }>];
    assert.equal(event.worker.workerId, 'w0');
    assert.ok(event.at >= event.worker.lastHeartbeat + 60 - 1, 'not before its timeout');

    const program = `
      import { RecoveryManager } from ${JSON.stringify(new URL('../../src/recovery/manager.js', import.meta.url).href)};
      const manager = new RecoveryManager();
      await manager.startMonitoring();
      await manager.registerWorker('w0');
    `;
    const ended = await runProgram(t, [process.execPath, '--input-type=module', '-e', program], { cwd: root })
      .done;
    assert.equal(ended.code, 0, ended.stderr);
  });
});

describe('many heartbeats at once', () => {
  test('are answered in their order, with one append to the log', async (t) => {
    const log = keeping();
    const { manager } = watching(t, {}, { log });
    await manager.registerWorker('a');
    await manager.registerWorker('b');
    log.appended.length = 0;
    const answers = await manager.heartbeats([
      { workerId: 'b', currentBatch: 2 },
      { workerId: 'nobody' },
      { workerId: 'a', currentBatch: 1, phase: 'train' },
      { workerId: 'b', currentBatch: 3 },
    ]);
    assert.deepEqual(
      answers.map(({ workerId, shouldContinue, status }) => [workerId, shouldContinue, status]),
      [
        ['b', true, 'active'],
        ['nobody', false, null],
        ['a', true, 'active'],
        ['b', true, 'active'],
      ],
    );
    assert.deepEqual(log.appended.map(({ changes, durable }) => [changes.length, durable]), [[3, false]]); // prettier-ignore
    assert.equal((await manager.getWorker('b'))?.currentBatch, 3);
    assert.deepEqual(await manager.heartbeats([]), []);
  });

  test('none is taken where one is malformed', async (t) => {
    const { manager } = watching(t);
    await manager.registerWorker('a');
    const beats = [
      { workerId: 'a', currentBatch: 9 },
      { workerId: 'a', currentBatch: -1 },
    ];
    await assert.rejects(
      manager.heartbeats(beats),
      /^RangeError: heartbeats\[1\]: currentBatch is a whole number/,
    );
    assert.equal((await manager.getWorker('a'))?.currentBatch, 0);
  });
});

describe('the log', () => {
  test('has what happened before anyone is told, in the order of the calls', async (t) => {
    const log = held();
    const { manager, told } = watching(t, {}, { log });
    const registered = manager.registerWorker('a');
    await log.asked(1);
    const failed = manager.markWorkerFailed('a');
    const beaten = manager.heartbeat('a');
    assert.deepEqual(told, []);
    log.let(1); // the second write ends first
    await beat();
    assert.deepEqual(told, []);
    log.let(0);
    assert.equal((await registered).status, 'active');
    assert.equal((await failed).status, 'failed');
    assert.deepEqual(types(told), ['registered', 'failed']);
    log.let(2);
    assert.equal(await beaten, true);
    assert.deepEqual(types(told), ['registered', 'failed', 'recovered']);
    assert.deepEqual(log.durable, [true, true, false]);
  });

  test('that fails, fails the method with its own error; the manager goes on', async (t) => {
    const full = Object.assign(new Error('no room'), { code: 'ENOSPC' });
    let broken = true;
    const log: WorkerLog = { append: () => (broken ? Promise.reject(full) : Promise.resolve()) };
    const { manager, told } = watching(t, {}, { log });
    await assert.rejects(manager.registerWorker('a'), full);
    assert.deepEqual(types(told), ['registered']);
    await assert.rejects(manager.heartbeat('a'), full);
    broken = false;
    assert.equal(await manager.heartbeat('a'), true);
  });

  test('that fails while a silent worker is found: the worker is told of, and the problem', async (t) => {
    let broken = false;
    const log: WorkerLog = {
      append() {
        if (broken) throw new Error('no room');
        return Promise.resolve();
      },
    };
    const { manager, clock, told } = watching(t, {}, { log });
    const problems: string[] = [];
    manager.on('problem', ({ message }) => problems.push(message));
    await manager.startMonitoring();
    await manager.registerWorker('a');
    await manager.registerWorker('b', {}, { heartbeatTimeout: 20 });
    broken = true;
    await clock.pass(16_000);
    assert.deepEqual(failures(told), [['a', 15_000]]);
    assert.deepEqual(problems, ['no room']);
    broken = false;
    await clock.pass(5000);
    assert.deepEqual(failures(told), [['a', 15_000], ['b', 20_000]]); // prettier-ignore
  });

  test('close waits for it', async (t) => {
    const log = held();
    const { manager } = watching(t, {}, { log });
    const registered = manager.registerWorker('a');
    await log.asked(1);
    let closed = false;
    const closing = manager.close().then(() => (closed = true));
    await beat();
    assert.equal(closed, false);
    log.let(0);
    await registered;
    await closing;
  });
});

describe('listeners', () => {
  test('one that throws keeps nothing from the others, from the caller or from the next event', async (t) => {
    const { manager, told } = watching(t);
    const problems: string[] = [];
    manager.on('problem', ({ message }) => problems.push(message));
    manager.prependListener('registered', () => {
      throw new Error('a bug');
    });
    const later = async (): Promise<never> => {
      await beat();
      throw new Error('a later bug');
    };
    // eslint-disable-next-line @typescript-eslint/no-misused-promises -- what a caller might do
    manager.prependListener('registered', later);
    assert.equal((await manager.registerWorker('a')).status, 'active');
    await manager.registerWorker('b');
    await beat();
    assert.deepEqual(types(told), ['registered', 'registered']);
    assert.deepEqual(problems.sort(), ['a bug', 'a bug', 'a later bug', 'a later bug']);
  });

  test('where nobody listens for problems, they are warnings of the process', async (t) => {
    const { manager } = watching(t);
    manager.on('registered', () => {
      throw new Error('a bug that nobody hears');
    });
    const warned = once(process, 'warning');
    await manager.registerWorker('a');
    const [warning] = (await warned) as [Error];
    assert.deepEqual([warning.name, warning.message], ['RecoveryManagerProblem', 'a bug that nobody hears']);
  });

  test('who causes more events does not disturb their order; once is once', async (t) => {
    const { manager } = watching(t);
    const heard: string[] = [];
    manager.on('failed', ({ worker }) => void manager.heartbeat(worker.workerId));
    manager.once('failed', () => void heard.push('once'));
    manager.on('event', ({ type }) => void heard.push(type));
    await manager.registerWorker('a');
    await manager.markWorkerFailed('a');
    await manager.markWorkerFailed('a');
    assert.deepEqual(heard, ['registered', 'once', 'failed', 'recovered', 'failed', 'recovered']);
  });
});

describe('events() as an iterator', () => {
  test('gives what happens from then on, until close', async (t) => {
    const { manager } = watching(t);
    await manager.registerWorker('before');
    const events = manager.events();
    const second = manager.events();
    const first = events.next();
    await manager.registerWorker('a');
    await manager.markWorkerFailed('a');
    await manager.close();
    assert.equal((await first).value?.type, 'registered');
    const rest: string[] = [];
    for await (const { type } of events) rest.push(type);
    assert.deepEqual(rest, ['failed']);
    const all: string[] = [];
    for await (const { type } of second) all.push(type);
    assert.deepEqual(all, ['registered', 'failed']);
    for await (const event of manager.events()) assert.fail(event.type);
  });

  test('break ends it', async (t) => {
    const { manager } = watching(t);
    const events = manager.events();
    await manager.registerWorker('a');
    await manager.registerWorker('b');
    for await (const { type } of events) {
      assert.equal(type, 'registered');
      break;
    }
    assert.deepEqual(await events.next(), { done: true, value: undefined });
  });

  test('a reader that waits gets its end when the manager closes', async (t) => {
    const { manager } = watching(t);
    const events = manager.events();
    const waiting = [events.next(), events.next()];
    await manager.close();
    assert.deepEqual(await Promise.all(waiting), [
      { done: true, value: undefined },
      { done: true, value: undefined },
    ]);
  });
});

describe('checkpoints', () => {
  test('are saved, loaded and told; the newest is found again by who registers', async (t) => {
    const { manager, told, dir } = watching(t);
    await manager.registerWorker('w0');
    assert.equal(await manager.loadCheckpoint('w0'), null);
    const path = await manager.saveCheckpoint('w0', { currentBatch: 12, loss: [0.5, null] });
    assert.ok(existsSync(path) && path.startsWith(dir));
    assert.deepEqual(await manager.loadCheckpoint<{ loss: unknown }>('w0'), {
      currentBatch: 12,
      loss: [0.5, null],
    });
    assert.equal((await manager.getWorker('w0'))?.lastCheckpoint, path);
    assert.deepEqual(types(told), ['registered', 'checkpoint']);

    const again = watching(t, { checkpointDir: dir });
    assert.equal((await again.manager.registerWorker('w0')).lastCheckpoint, path);
    assert.equal(await again.manager.saveCheckpoint('not-registered', 7).then(existsSync), true);
    assert.equal(await again.manager.loadCheckpoint('not-registered'), 7);
  });

  test('one that is saved while its worker registers is not lost sight of; what was moved away is', async (t) => {
    const { manager } = watching(t);
    await manager.registerWorker('w0');
    const old = await manager.saveCheckpoint('w0', 1);
    const look = manager.checkpoints.newest.bind(manager.checkpoints);
    let newest = '';
    manager.checkpoints.newest = async (id) => {
      const found = await look(id);
      newest = await manager.saveCheckpoint('w0', 2);
      return found;
    };
    assert.equal((await manager.registerWorker('w0')).lastCheckpoint, newest);
    manager.checkpoints.newest = look;
    rmSync(newest);
    assert.equal((await manager.registerWorker('w0')).lastCheckpoint, old);
    rmSync(old);
    assert.equal((await manager.registerWorker('w0')).lastCheckpoint, null);
  });

  test('what JSON cannot hold is refused, and nothing is told', async (t) => {
    const { manager, told } = watching(t);
    await assert.rejects(manager.saveCheckpoint('w0', { loss: NaN }), /loss/);
    assert.deepEqual(told, []);
  });
});

describe('wrong arguments', () => {
  const ids: readonly [unknown, RegExp][] = [
    ['', /^RangeError: a worker's id is 1 to 128 letters.*, not ""$/],
    ['../etc', /^RangeError: .*, not "\.\.\/etc"$/],
    ['a/b', /^RangeError/],
    ['a'.repeat(129), /^RangeError/],
    [5, /^TypeError: .*, not number$/],
    [undefined, /^TypeError: .*, not undefined$/],
  ];
  for (const [id, message] of ids) {
    test(`a worker's id that is refused everywhere: ${String(id).slice(0, 20)}`, async (t) => {
      const { manager } = watching(t);
      const name = id as string;
      await assert.rejects(manager.registerWorker(name), message);
      await assert.rejects(manager.unregisterWorker(name), message);
      await assert.rejects(manager.heartbeat(name), message);
      await assert.rejects(manager.heartbeats([{ workerId: name }]), /heartbeats\[0\]: a worker's id is/);
      await assert.rejects(manager.markWorkerFailed(name), message);
      await assert.rejects(manager.getWorker(name), message);
      await assert.rejects(manager.saveCheckpoint(name, {}), message);
      await assert.rejects(manager.loadCheckpoint(name), message);
    });
  }

  const states: readonly [unknown, RegExp][] = [
    [null, /^TypeError: the state of a heartbeat is an object, not null$/],
    [[1], /not a list$/],
    ['x', /not "x"$/],
    [{ currentBatch: -1 }, /^RangeError: currentBatch is a whole number from 0 on, not -1$/],
    [{ currentBatch: 1.5 }, /^RangeError/],
    [{ currentBatch: null }, /^TypeError: currentBatch is a whole number from 0 on, not null$/],
    [{ currentBatch: '7' }, /^TypeError: .*, not "7"$/],
  ];
  for (const [state, message] of states) {
    test(`a state that is refused: ${JSON.stringify(state)}`, async (t) => {
      const { manager, told } = watching(t);
      await assert.rejects(manager.registerWorker('a', state as Beat), message);
      await assert.rejects(manager.heartbeat('a', state as Beat), message);
      assert.deepEqual(told, []);
    });
  }

  test('the rest', async (t) => {
    const { manager } = watching(t);
    await assert.rejects(manager.markWorkerFailed('nobody'), (error) => {
      assert.ok(error instanceof UnknownWorkerError);
      assert.equal(error.workerId, 'nobody');
      assert.equal(error.message, 'no worker "nobody" is registered: register it first');
      return true;
    });
    await manager.registerWorker('a');
    await assert.rejects(
      manager.markWorkerFailed('a', 5 as unknown as string),
      /^TypeError: reason is a text, not 5$/,
    );
    await assert.rejects(
      manager.heartbeats({} as never),
      /^TypeError: heartbeats are a list, not an object$/,
    );
    await assert.rejects(manager.heartbeats([null as never]), /^TypeError: heartbeats\[0\]: /);
    await assert.rejects(manager.registerWorker('a', {}, { timeout: 5 } as object), /have no "timeout"/);
  });

  test('close waits for the saves that were begun, and refuses others before they write', async (t) => {
    const { manager, told, dir } = watching(t);
    const saving = manager.saveCheckpoint('w0', { batch: 7 });
    const closing = manager.close();
    await assert.rejects(manager.saveCheckpoint('w1', { batch: 8 }), /this RecoveryManager was closed/);
    await closing;
    assert.deepEqual(types(told), ['checkpoint']);
    assert.ok(existsSync(await saving));
    assert.ok(!existsSync(path.join(dir, 'w1')));
  });

  test('after close', async (t) => {
    const { manager } = watching(t);
    await manager.registerWorker('a');
    await manager.close();
    await manager.close();
    await assert.rejects(manager.heartbeat('a'), /this RecoveryManager was closed/);
    await assert.rejects(manager.startMonitoring(), /this RecoveryManager was closed/);
    await assert.rejects(manager.saveCheckpoint('a', {}), /this RecoveryManager was closed/);
    await assert.rejects(manager.loadCheckpoint('a'), /this RecoveryManager was closed/);
    await assert.rejects(manager.getWorker('a'), /this RecoveryManager was closed/);
    await assert.rejects(manager.getFailedWorkers(), /this RecoveryManager was closed/);
    assert.equal(manager.getWorkers().length, 1);
  });
});

interface Watching {
  readonly manager: RecoveryManager;
  readonly clock: LedClock;
  readonly told: RecoveryEvent[];
  readonly dir: string;
  readonly internals: RecoveryInternals;
}

/** A manager whose time the test leads, and what it tells. Timeouts of 15 s. */
function watching(t: TestEnd, options: RecoveryManagerOptions = {}, more: RecoveryInternals = {}): Watching {
  const clock = new LedClock();
  const dir = tempDir(t);
  const internals = { clock, ...more };
  const manager = new RecoveryManager({ checkpointDir: dir, ...options }, internals);
  atEnd(t, () => manager.close());
  const told: RecoveryEvent[] = [];
  manager.on('event', (event) => told.push(event));
  return { manager, clock, told, dir, internals };
}

const types = (events: readonly RecoveryEvent[]): string[] => events.map(({ type }) => type);

/** Who failed, and how many ms after the start. */
const failures = (events: readonly RecoveryEvent[]): [string, number][] =>
  events.flatMap((event) => (event.type === 'failed' ? [[event.worker.workerId, event.at - start]] : []));

/** Whatever can happen now has happened. */
const beat = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A log that knows what a journal would. */
function keeping(): WorkerLog & {
  readonly appended: { changes: readonly WorkerChange[]; durable: boolean }[];
  remembered(): NonNullable<RecoveryInternals['remembered']>;
} {
  const appended: { changes: readonly WorkerChange[]; durable: boolean }[] = [];
  return {
    appended,
    append(changes, durable) {
      appended.push({ changes, durable });
      return Promise.resolve();
    },
    remembered() {
      const workers = new Map<string, Extract<WorkerChange, { type: 'worker' }>>();
      let monitoring = false;
      for (const change of appended.flatMap(({ changes }) => changes)) {
        if (change.type === 'worker') workers.set(change.worker.workerId, change);
        else if (change.type === 'gone') workers.delete(change.workerId);
        else monitoring = change.monitoring;
      }
      return { workers: [...workers.values()], monitoring };
    },
  };
}

/** A log whose writes end when the test says so. */
function held(): WorkerLog & {
  readonly durable: boolean[];
  asked(count: number): Promise<void>;
  let(index: number): void;
} {
  const ends: (() => void)[] = [];
  const durable: boolean[] = [];
  return {
    durable,
    append(_changes, isDurable) {
      durable.push(isDurable);
      return new Promise((resolve) => ends.push(resolve));
    },
    async asked(count) {
      while (ends.length < count) await beat();
    },
    let(index) {
      ends[index]!();
    },
  };
}
