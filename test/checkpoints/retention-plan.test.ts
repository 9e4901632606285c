import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Standing } from '../../src/policy/checkpoint.js';
import { floorOf, plan, type Candidate, type Floor, type Plan, type Rules } from '../../src/checkpoints/retention/plan.js'; // prettier-ignore

const hour = 3_600_000;
const now = 1_000 * hour;
const rules: Rules = { last: 2 };
const none: Floor = new Map();

/** One an hour, the last of them now. */
const series = (count: number, change: (index: number) => Partial<Candidate> = () => ({})): Candidate[] =>
  Array.from({ length: count }, (_, index) => ({
    id: `step-${(index + 1) * 100}`,
    standing: 'verified',
    step: (index + 1) * 100,
    savedAt: now - (count - 1 - index) * hour,
    bytes: 10,
    ...change(index),
  }));

const kept = ({ keep }: Plan): string[] => keep.map(({ id, because }) => `${id}: ${because}`);
const dropped = ({ drop }: Plan): string[] => drop.map(({ id }) => id);

describe('each rule keeps for itself, and says so', () => {
  test('the last two; what goes says why', () => {
    const planned = plan(series(4), rules, none, now);
    assert.deepEqual(kept(planned), ['step-300: one of the last 2', 'step-400: one of the last 2']);
    assert.deepEqual(planned.drop, [
      { id: 'step-100', because: 'older than the last 2, and no other rule keeps it' },
      { id: 'step-200', because: 'older than the last 2, and no other rule keeps it' },
    ]);
  });

  test('a damaged one takes no place among the last', () => {
    const some = series(4, (index) => (index === 3 ? { standing: 'corrupt' } : {}));
    assert.deepEqual(kept(plan(some, rules, none, now)), [
      'step-200: one of the last 2',
      'step-300: one of the last 2',
      'step-400: corrupt, and no newer one is safe',
    ]);
  });

  test('every so many steps, every so often: the first of each, and it stays the first', () => {
    const steps = plan(series(9), { ...rules, everySteps: 300 }, none, now);
    assert.deepEqual(kept(steps).slice(0, 3), [
      'step-100: the first of its 300 steps',
      'step-300: the first of its 300 steps',
      'step-600: the first of its 300 steps',
    ]);
    assert.deepEqual(dropped(steps), ['step-200', 'step-400', 'step-500', 'step-700']);
    const times = plan(series(9), { ...rules, everyMs: 4 * hour }, none, now);
    assert.deepEqual(dropped(times), ['step-200', 'step-300', 'step-400', 'step-600', 'step-700']);
  });

  test('one of unknown step is no multiple of any', () => {
    const some = series(4).map(({ step: _unknown, ...rest }) => rest);
    assert.deepEqual(dropped(plan(some, { ...rules, everySteps: 1 }, none, now)), ['step-100', 'step-200']);
  });

  test('within an age', () => {
    assert.deepEqual(dropped(plan(series(6), { ...rules, withinMs: 3.5 * hour }, none, now)), ['step-100', 'step-200']); // prettier-ignore
  });

  test('the best by a metric, either way; NaN is no metric', () => {
    const metric = [0.5, NaN, 0.1, 0.3, 0.2, 0.4];
    const some = series(6, (index) => ({ metric: metric[index] ?? 0 }));
    const by = (mode: 'min' | 'max'): string[] =>
      kept(plan(some, { ...rules, best: { count: 2, metric: 'val_loss', mode } }, none, now));
    assert.deepEqual(by('min').slice(0, 2), [
      'step-300: among the best 2 by val_loss (0.1)',
      'step-500: one of the last 2',
    ]);
    assert.equal(by('max')[0], 'step-100: among the best 2 by val_loss (0.5)');
  });

  test('what was not verified yet stays; what is in doubt goes once a newer one is safe', () => {
    const standing: Standing[] = [
      'partial',
      'complete',
      'suspect',
      'safe',
      'tainted',
      'verified',
      'verified',
    ];
    const planned = plan(
      series(7, (index) => ({ standing: standing[index] ?? 'safe' })),
      rules,
      none,
      now,
    );
    assert.deepEqual(planned.drop, [
      { id: 'step-300', because: 'suspect, and a newer one is safe' },
      { id: 'step-400', because: 'older than the last 2, and no other rule keeps it' },
    ]);
  });
});

describe('bounds', () => {
  test('bytes: the least worth goes first, then the oldest, and no more than must', () => {
    const planned = plan(series(9), { ...rules, everySteps: 300, bytes: 30 }, none, now);
    assert.deepEqual(planned.keep.map(({ id }) => id), ['step-600', 'step-800', 'step-900']); // prettier-ignore
    assert.ok(
      planned.drop.some(({ id, because }) => id === 'step-300' && because === 'over the bound of 30 B'),
    );
  });

  test('a disk that is nearly full: as much as the next save lacks', () => {
    const planned = plan(series(4), { ...rules, last: 4 }, none, now, 15);
    assert.deepEqual(dropped(planned), ['step-100', 'step-200']);
    assert.equal(planned.drop[0]?.because, 'in the way of the next save');
    assert.deepEqual(
      dropped(plan(series(4), rules, none, now, 15)),
      ['step-100', 'step-200'],
      'they go anyway',
    );
  });

  test('what frees nothing is no sacrifice', () => {
    const some = series(3, (index) => ({ bytes: index === 0 ? 0 : 10 }));
    assert.deepEqual(dropped(plan(some, { ...rules, last: 3 }, none, now, 5)), ['step-200']);
  });
});

test('the floor', () => {
  const standing: Standing[] = ['verified', 'safe', 'safe', 'verified', 'verified', 'verified', 'tainted'];
  const some = series(7, (index) => ({ standing: standing[index] ?? 'safe' }));
  const floor = floorOf(some, { target: 'step-200', best: 'step-100', pinned: new Set(['step-700']) });
  assert.deepEqual(Object.fromEntries(floor), {
    'step-100': 'the best by the framework’s own record',
    'step-200': 'what the run was rolled back to',
    'step-300': 'the newest safe one',
    'step-400': 'the next to be proven safe',
    'step-600': 'the newest verified one',
    'step-700': 'pinned',
  });
});

/** A number from 0 to 1 from a seed: the same every time. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
}

const standings: readonly Standing[] = ['partial', 'complete', 'verified', 'verified', 'safe', 'tainted', 'suspect', 'corrupt']; // prettier-ignore

function random(seed: number): { some: Candidate[]; rules: Rules; floor: Floor; wanted: number } {
  const dice = chance(seed);
  const upTo = (n: number): number => Math.floor(dice() * n);
  const some = series(upTo(25), () => ({
    standing: standings[upTo(standings.length)] ?? 'safe',
    bytes: upTo(3) * upTo(50),
    ...(dice() < 0.7 && { metric: dice() }),
  }));
  const pinned = new Set(some.filter(() => dice() < 0.1).map((one) => one.id));
  const target = some[upTo(30)]?.id;
  return {
    some,
    floor: floorOf(some, { pinned, ...(target !== undefined && { target }) }),
    rules: {
      last: 2 + upTo(4),
      ...(dice() < 0.4 && { everySteps: 100 + upTo(500) }),
      ...(dice() < 0.4 && { everyMs: (1 + upTo(5)) * hour }),
      ...(dice() < 0.4 && { withinMs: upTo(20) * hour }),
      ...(dice() < 0.4 && { best: { count: upTo(4), metric: 'loss', mode: dice() < 0.5 ? 'min' : 'max' } }),
      ...(dice() < 0.6 && { bytes: upTo(400) }),
    },
    wanted: dice() < 0.4 ? upTo(300) : 0,
  };
}

describe('of whatever there is, 500 times', () => {
  const each = (check: (drawn: ReturnType<typeof random>, name: string) => void): void => {
    for (let seed = 1; seed <= 500; seed++) check(random(seed), `seed ${seed}`);
  };
  const sum = (some: readonly Candidate[], planned: Plan): number => {
    const ids = new Set(planned.keep.map(({ id }) => id));
    return some.filter((one) => ids.has(one.id)).reduce((bytes, one) => bytes + one.bytes, 0);
  };

  test('each is kept or dropped once, in order, with a reason', () => {
    each(({ some, rules: drawn, floor, wanted }, name) => {
      const { keep, drop } = plan(some, drawn, floor, now, wanted);
      const order = some.map(({ id }) => id);
      const at = ({ id }: { id: string }): number => order.indexOf(id);
      assert.deepEqual([...keep, ...drop].map(({ id }) => id).sort(), [...order].sort(), name);
      for (const part of [keep, drop])
        assert.ok(part.every((one, index) => index === 0 || at(part[index - 1] ?? one) < at(one)), name); // prettier-ignore
      assert.ok(
        [...keep, ...drop].every(({ because }) => because !== ''),
        name,
      );
    });
  });

  test('the floor is never dropped, nor what was not verified yet', () => {
    each(({ some, rules: drawn, floor, wanted }, name) => {
      const gone = new Set(dropped(plan(some, drawn, floor, now, wanted)));
      for (const id of floor.keys()) assert.ok(!gone.has(id), `${name}: ${id}`);
      for (const one of some)
        if (one.standing === 'partial' || one.standing === 'complete') assert.ok(!gone.has(one.id), name);
    });
  });

  test('the bound is met, or nothing is left that may go', () => {
    each(({ some, rules: drawn, floor, wanted }, name) => {
      const planned = plan(some, drawn, floor, now, wanted);
      const left = sum(some, planned);
      const ids = new Set(planned.keep.map(({ id }) => id));
      const mayGo = some.filter(
        (one) =>
          ids.has(one.id) &&
          !floor.has(one.id) &&
          !['partial', 'complete'].includes(one.standing) &&
          one.bytes > 0,
      );
      if (mayGo.length === 0) return;
      assert.ok(left <= (drawn.bytes ?? Infinity), name);
      assert.ok(some.reduce((bytes, one) => bytes + one.bytes, 0) - left >= wanted, name);
    });
  });

  test('a wider bound, a later last or a longer age never drops more', () => {
    each(({ some, rules: drawn, floor, wanted }, name) => {
      const gone = new Set(dropped(plan(some, drawn, floor, now, wanted)));
      const wider: Rules[] = [
        { ...drawn, ...(drawn.bytes !== undefined && { bytes: drawn.bytes + 50 }) },
        ...(drawn.bytes === undefined && wanted === 0
          ? [
              { ...drawn, last: drawn.last + 1 },
              { ...drawn, withinMs: (drawn.withinMs ?? 0) + hour },
            ]
          : []),
      ];
      for (const one of wider)
        for (const id of dropped(plan(some, one, floor, now, wanted))) assert.ok(gone.has(id), `${name}: ${id}`); // prettier-ignore
      for (const id of dropped(plan(some, drawn, floor, now, Math.floor(wanted / 2))))
        assert.ok(gone.has(id), name);
    });
  });

  test('done again it does nothing more', () => {
    each(({ some, rules: drawn, floor }, name) => {
      const first = new Set(dropped(plan(some, drawn, floor, now)));
      const left = some.filter((one) => !first.has(one.id));
      assert.deepEqual(dropped(plan(left, drawn, floor, now)), [], name);
    });
  });
});
