import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fixedBounds, simulate } from './false-alarms.js';

// all thousand, with the table: test/chaos/false-alarms.mjs
const runs = Array.from({ length: 50 }, (_, index) => simulate(index + 1));

test('no healthy run is killed for its silence', () => {
  assert.deepEqual(
    runs.filter(({ falselyKilledAfter }) => falselyKilledAfter !== undefined),
    [],
  );
  // a model without long silences would prove nothing
  for (const bound of fixedBounds.slice(0, 1))
    assert.ok(runs.some(({ fixedKills }) => fixedKills.includes(bound)));
});

test('every hang of a run that ever showed progress is found, of the others each is warned of', () => {
  const hangs = runs.flatMap(({ hang }) => hang ?? []);
  assert.ok(hangs.length >= 10, `${hangs.length} hangs`);
  for (const { place, foundAfter, warnedAfter } of hangs) {
    if (foundAfter === undefined) assert.equal(place, 'start');
    assert.ok(Number.isFinite(foundAfter ?? warnedAfter));
  }
});
