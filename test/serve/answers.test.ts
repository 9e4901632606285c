import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answerBounds, Answers, type KeptAnswer } from '../../src/serve/answers.js';

const answer = (n: number, at = 0, body = '{}'): KeptAnswer => ({
  key: `key-${n}`,
  method: 'PUT',
  path: '/v1/workers/w',
  digest: 'd',
  status: 200,
  body,
  at,
});

test('an answer is found by key, method and path, all three', () => {
  const answers = new Answers();
  answers.keep(answer(1));
  assert.deepEqual(answers.get(answer(1), 0), answer(1));
  assert.equal(answers.get(answer(2), 0), undefined);
  assert.equal(answers.get({ ...answer(1), method: 'DELETE' }, 0), undefined);
  assert.equal(answers.get({ ...answer(1), path: '/v1/workers/v' }, 0), undefined);
});

test('the newest 10,000 are kept', () => {
  const answers = new Answers();
  for (let n = 0; n <= answerBounds.count; n++) answers.keep(answer(n));
  assert.equal([...answers.values()].length, answerBounds.count);
  assert.equal(answers.get(answer(0), 0), undefined);
  assert.ok(answers.get(answer(1), 0));
});

test('for 24 hours, and one that is given anew counts anew', () => {
  const answers = new Answers();
  answers.keep(answer(1));
  answers.keep(answer(2));
  assert.ok(answers.get(answer(1), answerBounds.ageMs - 1));
  assert.equal(answers.get(answer(1), answerBounds.ageMs), undefined);
  answers.keep(answer(1, answerBounds.ageMs));
  assert.deepEqual([...answers.values()], [answer(1, answerBounds.ageMs)]);
});

test('as far as 16 MiB hold them', () => {
  const answers = new Answers();
  const body = 'x'.repeat(1024 * 1024);
  for (let n = 0; n < 100; n++) answers.keep(answer(n, 0, body));
  assert.equal([...answers.values()].length, 15);
  for (let n = 0; n < 100; n++) answers.keep(answer(99, 0, body));
  assert.equal([...answers.values()].length, 15, 'the same once more takes no more room');
});
