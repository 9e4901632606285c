import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Now, type Outcome, WorkerTable } from '../../src/recovery/worker-table.js';
import type { WorkerState } from '../../src/recovery/types.js';

const defaults = { heartbeatTimeoutMs: 15_000, maxFailures: 1 };
const start = 1_700_000_000_000;
const after = (ms: number): Now => ({ at: start + ms, mono: ms });

// the ways in which a worker can stand before a call
const standings = {
  unknown: () => new WorkerTable(defaults),
  active: () => table((one) => one),
  failed: () => table((one) => one.fail('w', 'x', after(0))),
  recovered: () => table((one) => (one.fail('w', 'x', after(0)), one.beat('w', {}, after(0)))),
  'failed for good': () => table((one) => (one.fail('w', 'x', after(0)), one.fail('w', 'x', after(0)))),
};

const calls = {
  heartbeat: (one: WorkerTable) => one.beat('w', { currentBatch: 7 }, after(9000)),
  register: (one: WorkerTable) => one.register('w', { currentBatch: 7 }, {}, '/c/new', after(9000)),
  'mark failed': (one: WorkerTable) => one.fail('w', 'said so', after(9000)),
  unregister: (one: WorkerTable) => one.remove('w', after(9000)),
  silence: (one: WorkerTable) => silence(one),
} satisfies Record<string, (one: WorkerTable) => Outcome | undefined>;

type Call = keyof typeof calls;

/** The worker after the call: status, failures, batch; the events; the answer of a heartbeat. */
const expected: Readonly<Record<keyof typeof standings, Readonly<Record<Call, string>>>> = {
  unknown: {
    heartbeat: 'gone; ; stop null',
    register: 'active 0 7; registered',
    'mark failed': 'gone; ',
    unregister: 'gone; ',
    silence: 'gone; ',
  },
  active: {
    heartbeat: 'active 0 7; ; go on active',
    register: 'active 0 7; registered',
    'mark failed': 'failed 1 3; failed',
    unregister: 'gone; unregistered',
    silence: 'failed 1 3; failed',
  },
  failed: {
    heartbeat: 'recovered 1 7; recovered; go on recovered',
    register: 'recovered 1 7; registered, recovered',
    'mark failed': 'failed 2 3; failed',
    unregister: 'gone; unregistered',
    silence: 'failed 1 3; ',
  },
  recovered: {
    heartbeat: 'active 1 7; active; go on active',
    register: 'recovered 1 7; registered',
    'mark failed': 'failed 2 3; failed',
    unregister: 'gone; unregistered',
    silence: 'failed 2 3; failed',
  },
  'failed for good': {
    heartbeat: 'failed 2 7; ; stop failed',
    register: 'failed 2 7; registered',
    'mark failed': 'failed 3 3; failed',
    unregister: 'gone; unregistered',
    silence: 'failed 2 3; ',
  },
};

/** The same while monitoring was stopped: only what differs. */
const whenStopped: Readonly<Partial<Record<keyof typeof standings, Partial<Record<Call, string>>>>> = {
  active: { heartbeat: 'active 0 7; ; stop active', silence: 'active 0 3; ' },
  failed: { heartbeat: 'failed 1 7; ; stop failed' },
  recovered: { heartbeat: 'recovered 1 7; ; stop recovered', silence: 'recovered 1 3; ' },
};

/** And before it was ever begun. */
const whenNotBegun: typeof whenStopped = {
  active: { silence: 'active 0 3; ' },
  recovered: { silence: 'recovered 1 3; ' },
};

describe('every standing × every call', () => {
  const watches = {
    monitoring: { begin: (one: WorkerTable) => one.monitor(true, after(0)), differing: {} },
    'monitoring stopped': {
      begin: (one: WorkerTable) => one.monitor(false, after(0)),
      differing: whenStopped,
    },
    'monitoring not begun': { begin: () => undefined, differing: whenNotBegun },
  };
  for (const [watch, { begin, differing }] of Object.entries(watches)) {
    for (const standing of keysOf(standings)) {
      test(`${watch}: ${standing}`, () => {
        const row = keysOf(calls).map((call) => {
          const one = standings[standing]();
          begin(one);
          return [call, describeOutcome(one, calls[call](one))];
        });
        const differs = (differing as typeof whenStopped)[standing];
        assert.deepEqual(Object.fromEntries(row), { ...expected[standing], ...differs });
      });
    }
  }
});

test('every change is told with the worker as it is then, and is what is to be remembered', () => {
  for (const standing of keysOf(standings)) {
    for (const call of keysOf(calls)) {
      const one = standings[standing]();
      one.monitor(true, after(0));
      const outcome = calls[call](one) ?? { events: [], changes: [] };
      const worker = one.get('w');
      for (const event of outcome.events) {
        if ('worker' in event && event.type !== 'unregistered') assert.equal(event.worker, worker);
      }
      for (const change of outcome.changes) {
        if (change.type === 'worker') assert.deepEqual(change, { type: 'worker', worker, limits: {} });
        else assert.deepEqual(change, { type: 'gone', workerId: 'w' });
      }
    }
  }
});

test('a worker is heard when it beats, registers, and not when it is marked', () => {
  const one = standings.active();
  const heard = (): number => one.get('w')!.lastHeartbeat - start;
  assert.equal(heard(), 0);
  one.beat('w', {}, after(1000));
  assert.equal(heard(), 1000);
  one.fail('w', 'x', after(2000));
  assert.equal(heard(), 1000);
  one.register('w', {}, {}, null, after(3000));
  assert.equal(heard(), 3000);
  assert.equal(one.get('w')!.currentBatch, 3, 'a batch that is not named stays');
});

test('what was handed out cannot be changed by who got it', () => {
  const worker = standings.active().get('w') as { status: string };
  assert.throws(() => (worker.status = 'failed'), TypeError);
});

test('limits of its own, by parts, also when it comes back', () => {
  const one = new WorkerTable(defaults);
  const limitsOf = (outcome: Outcome): unknown =>
    outcome.changes.map((change) => change.type === 'worker' && change.limits);
  assert.deepEqual(limitsOf(one.register('w', {}, {}, null, after(0))), [{}]);
  assert.deepEqual(limitsOf(one.register('w', {}, { maxFailures: 9 }, null, after(0))), [{ maxFailures: 9 }]);
  assert.deepEqual(limitsOf(one.register('w', {}, { heartbeatTimeoutMs: 70 }, null, after(0))), [
    { heartbeatTimeoutMs: 70, maxFailures: 9 },
  ]);
});

test('failed for good ends when it registers with a higher limit', () => {
  const one = standings['failed for good']();
  assert.equal(one.register('w', {}, { maxFailures: 2 }, null, after(0)).worker.status, 'recovered');
  assert.equal(one.beat('w', {}, after(0)).answer.shouldContinue, true);
});

test('a worker fails at its own timeout, at the first tick after it, and once', () => {
  const one = new WorkerTable(defaults);
  one.monitor(true, after(0));
  one.register('slow', {}, {}, null, after(0));
  one.register('quick', {}, { heartbeatTimeoutMs: 1000 }, null, after(0));
  const failedAt: [number, string, string][] = [];
  for (let ms = 0; ms <= 60_000; ms += 50) {
    for (const event of one.tick(after(ms)).events) {
      if (event.type === 'failed') failedAt.push([ms, event.worker.workerId, event.reason]);
    }
  }
  assert.deepEqual(failedAt, [
    [1000, 'quick', 'no heartbeat within its timeout of 1 s'],
    [15_000, 'slow', 'no heartbeat within its timeout of 15 s'],
  ]);
});

describe('nobody is called silent for a time in which nobody listened', () => {
  const ticksUntilFailed = (one: WorkerTable, from: number): number => {
    for (let ms = from; ms <= from + 100_000; ms += 50) if (one.tick(after(ms)).events.length > 0) return ms;
    return NaN;
  };
  const asleep = 3_600_000;

  test('a late tick extends every deadline by as much', () => {
    const one = watching(['w'], 0);
    for (let ms = 0; ms <= 10_000; ms += 50) one.tick(after(ms));
    assert.deepEqual(one.tick(after(asleep)).events, []);
    // 10 of its 15 seconds had gone, and one tick's worth
    assert.equal(ticksUntilFailed(one, asleep), asleep + 4950);
  });

  test('a heartbeat that is heard before the late tick gets its timeout and not more', () => {
    const one = watching(['w'], 0);
    one.tick(after(0));
    one.beat('w', {}, after(asleep));
    assert.equal(ticksUntilFailed(one, asleep), asleep + 15_000);
  });

  test('a tick that is late by no more than a second extends nothing', () => {
    const one = watching(['w'], 0);
    for (let ms = 0; ms <= 14_000; ms += 50) one.tick(after(ms));
    assert.equal(one.tick(after(15_050)).events.length, 1);
  });

  test('a watch that begins, or begins again, gives everyone a whole timeout', () => {
    const one = watching(['w'], 0);
    for (let ms = 0; ms <= 14_000; ms += 50) one.tick(after(ms));
    one.monitor(false, after(14_000));
    assert.deepEqual(one.tick(after(200_000)).events, []);
    one.monitor(true, after(300_000));
    assert.equal(ticksUntilFailed(one, 300_000), 315_000);
  });

  test('the time before a watch began is none that was missed', () => {
    const one = new WorkerTable(defaults);
    one.register('w', {}, {}, null, after(0));
    one.monitor(true, after(1040));
    assert.equal(ticksUntilFailed(one, 1090), 1040 + 15_050);
  });

  test('a second startMonitoring is no news and gives no time', () => {
    const one = watching(['w'], 0);
    assert.deepEqual(one.monitor(true, after(10_000)), { events: [], changes: [] });
    for (let ms = 0; ms < 15_000; ms += 50) assert.deepEqual(one.tick(after(ms)).events, []);
    assert.equal(one.tick(after(15_000)).events.length, 1);
  });
});

describe('what is remembered', () => {
  test('is what was changed: a table made from its own changes is the same', () => {
    const first = watching(['a', 'b', 'c'], 0);
    first.fail('b', 'x', after(1));
    const remembered = {
      workers: first.list().map((worker) => ({ worker, limits: { ...defaults, maxFailures: 5 } })),
      monitoring: true,
    };
    const again = new WorkerTable(
      defaults,
      JSON.parse(JSON.stringify(remembered)) as typeof remembered,
      5000,
    );
    assert.deepEqual(again.list(), first.list());
    assert.equal(again.monitoring, true);
    // a whole timeout from 5000 on for a and c; b had failed already, and its own limit counts
    for (let ms = 5000; ms < 20_000; ms += 50) assert.deepEqual(again.tick(after(ms)).events, []);
    const failed = again
      .tick(after(20_000))
      .events.map((event) => 'worker' in event && event.worker.workerId);
    assert.deepEqual(failed.sort(), ['a', 'c']);
    assert.equal(again.beat('b', {}, after(20_000)).answer.status, 'recovered');
  });

  test('with other defaults they count for who brought no limits of its own', () => {
    const first = new WorkerTable(defaults);
    const own = { heartbeatTimeoutMs: 70 };
    const changes = [
      ...first.register('plain', {}, {}, null, after(0)).changes,
      ...first.register('own', {}, own, null, after(0)).changes,
    ];
    const workers = changes.flatMap((change) => (change.type === 'worker' ? change : []));
    const other = { heartbeatTimeoutMs: 1000, maxFailures: 0 };
    const again = new WorkerTable(other, { workers, monitoring: true });
    const silent = (ms: number): unknown[] =>
      again.tick(after(ms)).events.map((event) => 'worker' in event && event.worker.workerId);
    assert.deepEqual([silent(50), silent(100), silent(950), silent(1000)], [[], ['own'], [], ['plain']]);
    assert.equal(again.beat('plain', {}, after(1000)).answer.shouldContinue, false);
  });

  test('a watch that was off counts as stopped', () => {
    const one = new WorkerTable(defaults, { workers: [], monitoring: false });
    one.register('w', {}, {}, null, after(0));
    assert.equal(one.monitoring, false);
    assert.equal(one.beat('w', {}, after(0)).answer.shouldContinue, false);
  });
});

test('the newest checkpoint by name stays, whichever is told of last', () => {
  const one = standings.active();
  const note = (path: string): string | null => {
    one.checkpoint('w', { path, savedAt: 1, bytes: 1, sha256: 'f' }, after(0));
    return one.get('w')!.lastCheckpoint;
  };
  assert.equal(note('/c/w/20260102'), '/c/w/20260102');
  assert.equal(note('/c/w/20260101'), '/c/w/20260102');
  assert.equal(note('/c/w/20260103'), '/c/w/20260103');
  assert.equal(note('/other/w/20260101'), '/other/w/20260101', 'checkpoints lie elsewhere now');
});

test('a checkpoint of nobody who is registered is told, and not remembered', () => {
  const one = new WorkerTable(defaults);
  const checkpoint = { path: '/c/w/1', savedAt: 1, bytes: 1, sha256: 'f' };
  assert.deepEqual(one.checkpoint('w', checkpoint, after(0)), {
    events: [{ type: 'checkpoint', at: start, workerId: 'w', checkpoint }],
    changes: [],
  });
});

test('ten thousand workers: those that beat stay, each that stops is found within 250 ms of its timeout', () => {
  const count = 10_000;
  const ids = Array.from({ length: count }, (_, index) => `w${index}`);
  const one = watching(ids, 0);
  // worker n beats every 5 s, a little after the one before it; every tenth stops after its third heartbeat
  const lastBeat = (index: number): number => 10_000 + index / 2;
  let failed = 0;
  for (let ms = 0; ms <= 40_000; ms += 50) {
    const round = Math.floor(ms / 5000);
    for (let index = (ms % 5000) * 2; index < (ms % 5000) * 2 + 100 && index < count; index++) {
      if (index % 10 !== 0 || round < 3) one.beat(`w${index}`, {}, after(round * 5000 + index / 2));
    }
    for (const event of one.tick(after(ms)).events) {
      if (event.type !== 'failed') continue;
      const index = Number(event.worker.workerId.slice(1));
      const lateMs = ms - (lastBeat(index) + 15_000);
      assert.ok(index % 10 === 0 && lateMs >= 0 && lateMs <= 250, `${event.worker.workerId}: ${lateMs} ms`);
      failed++;
    }
  }
  assert.equal(failed, count / 10);
});

/** Workers at batch 3, nothing watched yet. */
function table(then: (one: WorkerTable) => unknown): WorkerTable {
  const one = new WorkerTable(defaults);
  one.register('w', { currentBatch: 3 }, {}, null, after(0));
  then(one);
  return one;
}

function watching(ids: readonly string[], at: number): WorkerTable {
  const one = new WorkerTable(defaults);
  one.monitor(true, after(at));
  for (const id of ids) one.register(id, {}, {}, null, after(at));
  return one;
}

function silence(one: WorkerTable): Outcome {
  const outcomes = Array.from({ length: 400 }, (_, index) => one.tick(after(index * 50)));
  return {
    events: outcomes.flatMap(({ events }) => events),
    changes: outcomes.flatMap(({ changes }) => changes),
  };
}

function describeOutcome(one: WorkerTable, outcome: Outcome | undefined): string {
  const worker: WorkerState | undefined = one.get('w');
  const said = worker ? `${worker.status} ${worker.failureCount} ${worker.currentBatch}` : 'gone';
  const events = (outcome?.events ?? []).map(({ type }) => type).join(', ');
  const answer = (outcome as Partial<ReturnType<WorkerTable['beat']>> | undefined)?.answer;
  const told = answer ? `; ${answer.shouldContinue ? 'go on' : 'stop'} ${answer.status}` : '';
  return `${said}; ${events}${told}`;
}

function keysOf<T extends object>(record: T): (keyof T & string)[] {
  return Object.keys(record) as (keyof T & string)[];
}
