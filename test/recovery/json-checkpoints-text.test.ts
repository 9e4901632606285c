import assert from 'node:assert/strict';
import { test } from 'node:test';
import vm from 'node:vm';
import { stateToJson } from '../../src/recovery/json-text.js';

const roundTrip = (state: unknown): unknown => JSON.parse(stateToJson(state));

test('what is written reads back as exactly the same', () => {
  const state = {
    z: 1,
    a: [-0, 0, 1e21, 5e-324, Number.MAX_SAFE_INTEGER, -1.5],
    text: ['', 'é😀', '\ud800 alone', '"\\\n\u2028\0'],
    nothing: [null, {}, [], true, false],
    'a key': { 'with.dots': { '': 1 } },
    7: 'comes first',
  };
  const back = roundTrip(state);
  assert.deepStrictEqual(back, state);
  assert.deepEqual(Object.keys(back as object), Object.keys(state));
  assert.ok(Object.is(back.a[0], -0));
  for (const scalar of [0, -0, 'x', true]) assert.deepStrictEqual(roundTrip(scalar), scalar);
  assert.throws(() => stateToJson(null), {
    name: 'TypeError',
    message: 'state is null, which would be taken for no checkpoint; save an object, {} say',
  });
});

test('a key __proto__ is a key like others, and one of null prototype or another realm an object like others', () => {
  const state: unknown = JSON.parse('{"__proto__":{"admin":true},"constructor":1}');
  const back = roundTrip(state) as object;
  assert.deepEqual(Object.entries(back), [
    ['__proto__', { admin: true }],
    ['constructor', 1],
  ]);
  assert.equal((back as { admin?: boolean }).admin, undefined);
  assert.deepEqual(roundTrip(Object.assign(Object.create(null) as object, { a: 1 })), { a: 1 });
  assert.deepEqual(roundTrip(vm.runInNewContext('({ a: [1] })')), { a: [1] });
});

test('a field that is undefined is left out; the same object may stand in two places', () => {
  const shared = { lr: 0.1 };
  assert.equal(
    stateToJson({ a: undefined, b: shared, c: [shared, shared] }),
    '{"b":{"lr":0.1},"c":[{"lr":0.1},{"lr":0.1}]}',
  );
});

class Optimizer {
  readonly lr = 1;
}
const loop: Record<string, unknown> = {};
loop['inner'] = { again: loop };
// eslint-disable-next-line no-sparse-arrays -- the hole is what is tried
const holes = [1, , 2];
const refused: readonly [string, unknown, string][] = [
  ['NaN', { optimizer: { lr: NaN } }, 'state.optimizer.lr is NaN, which JSON cannot hold'],
  ['Infinity', [[-Infinity]], 'state[0][0] is -Infinity, which JSON cannot hold'],
  ['a BigInt', { 'a b': 1n }, 'state["a b"] is a BigInt, which JSON cannot hold; save it as text'],
  ['undefined', undefined, 'state is undefined, which JSON cannot hold'],
  ['undefined in an array', { a: [undefined] }, 'state.a[0] is undefined, which JSON cannot hold'],
  ['a hole', holes, 'state[1] is undefined, which JSON cannot hold'],
  ['a function', { f: () => 1 }, 'state.f is a function, which JSON cannot hold'],
  ['a symbol', [Symbol('s')], 'state[0] is a symbol, which JSON cannot hold'],
  ['a cycle', loop, 'state.inner.again contains itself, which JSON cannot hold'],
  ...(
    [
      new Map(),
      new Set(),
      new Date(0),
      new Float32Array(2),
      Buffer.from('x'),
      new Optimizer(),
      new Number(1),
    ] as object[]
  ).map((value): [string, unknown, string] => [
    value.constructor.name,
    { x: value },
    `state.x is a ${value.constructor.name}, which JSON cannot hold; save a plain object, an array or text in its place`,
  ]),
];
for (const [what, state, message] of refused)
  test(`what JSON cannot hold is refused with its path: ${what}`, () => {
    assert.throws(() => stateToJson(state), { name: 'TypeError', message });
  });

test('nesting is bounded', () => {
  let state: unknown = 1;
  for (let depth = 0; depth < 500; depth++) state = [state];
  assert.equal(stateToJson(state).length, 1001);
  assert.throws(() => stateToJson([state]), /^TypeError: state\[0\].*… is nested more than 500 deep$/);
});
