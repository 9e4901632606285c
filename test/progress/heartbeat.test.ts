import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHeartbeats } from '../../src/progress/heartbeat.js';
import type { Heartbeat } from '../../src/progress/types.js';

const beat = (fields: Omit<Heartbeat, 'metrics'>, metrics: Record<string, number> = {}): Heartbeat => ({
  ...fields,
  metrics,
});

const table: readonly [line: string, expected: readonly Heartbeat[]][] = [
  ['heartbeat step=120 loss=0.41 epoch=3', [beat({ step: 120, loss: 0.41, epoch: 3 })]],
  ['HeartBeat step=1', [beat({ step: 1 })]],
  ['heartbeat: step=1', [beat({ step: 1 })]],
  ['heartbeat {"step":120,"loss":0.41}', [beat({ step: 120, loss: 0.41 })]],
  ['heartbeat{"step": 120 , "lr": 1e-4}  ', [beat({ step: 120 }, { lr: 1e-4 })]],
  ['2026-01-02 03:04:05,678 INFO train: heartbeat step=7, loss=1.5', [beat({ step: 7, loss: 1.5 })]],
  ['[rank0]: heartbeat step=7', [beat({ step: 7, rank: 0 })]],
  ['[rank3]: heartbeat step=7', [beat({ step: 7, rank: 3 })]],
  ['[rank3]: heartbeat step=7 rank=1', [beat({ step: 7, rank: 1 })]],
  ['\x1b[32mheartbeat step=7\x1b[0m loss=2', [beat({ step: 7, loss: 2 })]],
  // a value ends where the number ends
  ['heartbeat step=12,', [beat({ step: 12 })]],
  ['heartbeat step=12;loss=1|epoch=2', [beat({ step: 12, loss: 1, epoch: 2 })]],
  ['heartbeat time=3.2s step=4', [beat({ step: 4 }, { time: 3.2 })]],
  ['heartbeat step=3/1000 loss=1', [beat({ step: 3, loss: 1 })]],
  ['heartbeat step=1,240 loss=1', [beat({ step: 1240, loss: 1 })]],
  ['heartbeat step=1e3', [beat({ step: 1000 })]],
  ['heartbeat step = 5', [beat({ step: 5 })]],
  // lines that ran together
  ['heartbeat step=2 loss=0.41heartbeat step=3', [beat({ step: 2, loss: 0.41 }), beat({ step: 3 })]],
  ['heartbeat loss=nanheartbeat step=3', [beat({ loss: NaN }), beat({ step: 3 })]],
  ['heartbeat {"step":2}heartbeat {"step":3}', [beat({ step: 2 }), beat({ step: 3 })]],
  ['heartbeat step=2 heartbeat step=3', [beat({ step: 2 }), beat({ step: 3 })]],
  ['heartbeat phase=evalheartbeat step=3', [beat({ phase: 'eval' }), beat({ step: 3 })]],
  [
    'heartbeat step=2 checkpoint=ck/step-2heartbeat step=3',
    [beat({ step: 2, checkpoint: 'ck/step-2' }), beat({ step: 3 })],
  ],
  // numbers that are none
  ['heartbeat step=1 loss=NaN', [beat({ step: 1, loss: NaN })]],
  ['heartbeat step=1 loss=inf grad_norm=-Infinity', [beat({ step: 1, loss: Infinity, gradNorm: -Infinity })]],
  [
    'heartbeat {"step":1,"loss":NaN,"grad_norm":-Infinity}',
    [beat({ step: 1, loss: NaN, gradNorm: -Infinity })],
  ],
  ['heartbeat step=1 loss=1e999', [beat({ step: 1, loss: Infinity })]],
  // keys
  [
    'heartbeat step=5 total_steps=100 phase=train rank=0 grad_norm=1.5 checkpoint="a b/c" acc=0.9',
    [
      beat(
        { step: 5, totalSteps: 100, phase: 'train', rank: 0, gradNorm: 1.5, checkpoint: 'a b/c' },
        { acc: 0.9 },
      ),
    ],
  ],
  [
    'heartbeat {"step":5,"checkpoint":"a\\u0020b","nested":{"x":[1,"}"]},"done":false,"phase":"eval"}',
    [beat({ step: 5, checkpoint: 'a b', phase: 'eval' })],
  ],
  ['heartbeat step=5 phase=resting device=cuda:0 loss=2', [beat({ step: 5, loss: 2 })]],
  ['heartbeat step=5 eval_loss=nan', [beat({ step: 5 }, { eval_loss: NaN })]],
  // illegal values of known keys are unknown, not zero
  ['heartbeat step=-1 loss=2', [beat({ loss: 2 })]],
  ['heartbeat step=1.5 loss=2', [beat({ loss: 2 })]],
  ['heartbeat step=NaN loss=2', [beat({ loss: 2 })]],
  ['heartbeat step=99999999999999999999 loss=2', [beat({ loss: 2 })]],
  ['heartbeat step= loss=2', [beat({ loss: 2 })]],
  ['heartbeat step=3 done, saving loss=7', [beat({ step: 3 })]],
  // no heartbeats
  ['', []],
  ['heartbeat', []],
  ['heartbeat step', []],
  ['heartbeat step=', []],
  ['heartbeat step=abc', []],
  ['heartbeat timeout=30 received', []],
  ['no heartbeat received from worker 3', []],
  ['heartbeats step=3', []],
  ['last_heartbeat step=3', []],
  ['--heartbeat step=3', []],
  ['heartbeat_step=3', []],
  ['heartbeat=3 step=4', []],
  ['heartbeatstep=4', []],
  ['heartbeat {"step":120', []],
  ['heartbeat {"step":}', []],
  ['heartbeat {"step":1,}', []],
  ['heartbeat {}', []],
  ['heartbeat [1]', []],
  ['step 12 loss 0.3', []],
];

for (const [line, expected] of table) {
  test(`reads ${JSON.stringify(line)}`, () => assert.deepEqual(parseHeartbeats(line), expected));
}

test('keeps at most 32 other numbers', () => {
  const line = `heartbeat step=1 ${Array.from({ length: 50 }, (_, i) => `m${i}=${i}`).join(' ')}`;
  const [heartbeat] = parseHeartbeats(line);
  assert.equal(Object.keys(heartbeat!.metrics).length, 32);
});

test('a metric named like a prototype member does no harm', () => {
  const [heartbeat] = parseHeartbeats('heartbeat step=1 __proto__=5 constructor=6');
  assert.equal(heartbeat!.metrics['constructor'], 6);
  assert.equal(Object.getPrototypeOf(heartbeat!.metrics), Object.prototype);
});

test('random garbage never throws, and every heartbeat it gives is well formed', () => {
  const next = seeded(7);
  const pieces = [
    'heartbeat', ' ', 'step', '=', '12', '{', '}', '"', ':', ',', 'NaN', 'inf', '\\', '[rank', '1]', '-', '.', 'e',
    'loss', 'phase', 'checkpoint', '\u0000', 'é', '\ud800', '💥', '\x1b[3m', '1e', '99999999999999999999', 'null',
  ]; // prettier-ignore
  for (let round = 0; round < 20_000; round++) {
    let line = 'heartbeat';
    for (let i = 0; i < 12; i++) line += pieces[Math.floor(next() * pieces.length)]!;
    for (const heartbeat of parseHeartbeats(line)) {
      const { step, rank, totalSteps } = heartbeat;
      for (const count of [step, rank, totalSteps]) {
        assert.ok(count === undefined || (Number.isSafeInteger(count) && count >= 0), line);
      }
      assert.ok(Object.keys(heartbeat).length > 1, line);
      assert.ok(
        Object.values(heartbeat.metrics).every((metric) => typeof metric === 'number'),
        line,
      );
    }
  }
});

test('what was written is read back', () => {
  const next = seeded(11);
  for (let round = 0; round < 5000; round++) {
    const step = Math.floor(next() * 1e9);
    const loss = Number((next() * 10 ** Math.floor(next() * 12 - 6)).toPrecision(6));
    const expected = [beat({ step, loss })];
    assert.deepEqual(parseHeartbeats(`x heartbeat step=${step} loss=${loss}`), expected);
    assert.deepEqual(parseHeartbeats(`x heartbeat ${JSON.stringify({ step, loss })}`), expected);
  }
});

// A quadratic scan of 64 KiB takes seconds to minutes; a linear one a few ms. The bound only tells these apart.
for (const unit of [
  'heartbeat ',
  'heartbeat {"a":{',
  'heartbeat {"a":"',
  'heartbeat a=',
  'heartbeat step=1 a',
  'heartbeat   ',
  'heartbeat step=1,111',
  '\x1b[',
  '[rank',
]) {
  test(`time is linear on 64 KiB of ${JSON.stringify(unit)}`, () => {
    const line = `${unit.repeat(65536 / unit.length)} heartbeat step=1`;
    const before = process.cpuUsage();
    parseHeartbeats(line);
    // what others use of the machine is not counted
    assert.ok(process.cpuUsage(before).user < 1_000_000);
  });
}

/** Numbers from 0 to 1, the same at every run (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
