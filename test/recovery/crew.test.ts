import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Crew } from '../../src/recovery/crew.js';

test('a worker that is alone has no rank', () => {
  const crew = new Crew();
  assert.equal(crew.rankOf('a'), undefined);
  crew.joined('a');
  assert.equal(crew.rankOf('a'), undefined);
  crew.joined('b');
  crew.left('b');
  assert.equal(crew.rankOf('a'), undefined);
});

test('the first leads until it fails, and does not take the lead back', () => {
  const crew = new Crew();
  for (const id of ['a', 'b', 'c']) crew.joined(id);
  assert.deepEqual(['a', 'b', 'c', 'x'].map((id) => crew.rankOf(id)), [0, 2, 3, undefined]); // prettier-ignore
  crew.failed('a');
  assert.deepEqual(['a', 'b', 'c'].map((id) => crew.rankOf(id)), [1, 0, 3]); // prettier-ignore
  crew.joined('a');
  assert.deepEqual(['a', 'b', 'c'].map((id) => crew.rankOf(id)), [1, 0, 3]); // prettier-ignore
});

test('who is done leaves the lead to the next, and numbers are never given twice', () => {
  const crew = new Crew();
  for (const id of ['a', 'b', 'c']) crew.joined(id);
  crew.left('a');
  crew.joined('d');
  assert.deepEqual(['a', 'b', 'c', 'd'].map((id) => crew.rankOf(id)), [undefined, 0, 3, 4]); // prettier-ignore
});

test('when all have failed the first that comes back leads', () => {
  const crew = new Crew();
  for (const id of ['a', 'b']) crew.joined(id);
  crew.failed('a');
  crew.failed('b');
  crew.failed('never-registered');
  crew.joined('b');
  assert.deepEqual(['a', 'b'].map((id) => crew.rankOf(id)), [1, 0]); // prettier-ignore
});
