import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lineOfBeat } from '../../src/progress/beat-line.js';
import { parseHeartbeats } from '../../src/progress/heartbeat.js';

const rows: readonly [Record<string, unknown>, number | undefined, object][] = [
  [{ currentBatch: 7 }, undefined, { step: 7 }],
  [{ current_batch: 7, phase: 'eval' }, undefined, { step: 7, phase: 'eval' }],
  [{ currentBatch: 7, step: 700 }, undefined, { step: 700 }],
  [{ step: 700, currentBatch: 7 }, 2, { step: 700, rank: 2 }],
  [{ currentBatch: 7, rank: 0 }, 2, { step: 7, rank: 0 }],
  [{ currentBatch: 7, loss: 'NaN', gradNorm: '-Infinity' }, undefined, { step: 7, loss: NaN, gradNorm: -Infinity }],
  [{ currentBatch: 7, loss: 0.25, totalSteps: 100 }, undefined, { step: 7, loss: 0.25, totalSteps: 100 }],
  [{ currentBatch: 7, nested: { a: 1 }, list: [1], none: null, yes: true }, undefined, { step: 7 }],
  [{ currentBatch: 7, 'a"b\n': 'heartbeat step=9' }, undefined, { step: 7 }],
  [{ currentBatch: 7, step: null }, undefined, { step: 7 }],
  [{ step: true, currentBatch: 7 }, undefined, { step: 7 }],
  [{ currentBatch: 7, checkpoint: 'out/step_7' }, undefined, { step: 7, checkpoint: 'out/step_7' }],
]; // prettier-ignore

for (const [beat, rank, expected] of rows) {
  test(`a beat becomes one heartbeat: ${JSON.stringify(beat)}${rank === undefined ? '' : ` of rank ${rank}`}`, () => {
    const found = parseHeartbeats(lineOfBeat(beat, rank));
    assert.equal(found.length, 1);
    const { metrics: _, ...said } = found[0]!;
    assert.deepEqual(said, expected);
  });
}

test('other numbers are metrics, and only so many are told', () => {
  const many = Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`m${n}`, n]));
  const [heartbeat] = parseHeartbeats(lineOfBeat({ currentBatch: 1, lr: 0.1, ...many }));
  assert.equal(heartbeat?.metrics['lr'], 0.1);
  assert.ok(lineOfBeat(many).length < 1000);
});

test('what the training is judged by is told, however late it comes', () => {
  const many = Object.fromEntries(Array.from({ length: 45 }, (_, n) => [`lr/group_${n}`, n]));
  const late = { ...many, loss: 'NaN', phase: 'eval', epoch: 3, currentBatch: 31 };
  const [heartbeat] = parseHeartbeats(lineOfBeat(late, 2));
  const { step, loss, phase, epoch, rank } = heartbeat ?? {};
  assert.deepEqual(
    { step, loss, phase, epoch, rank },
    { step: 31, loss: NaN, phase: 'eval', epoch: 3, rank: 2 },
  );
});
