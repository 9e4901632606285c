import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fold, noteLife, startProgress } from '../../src/progress/fold.js';
import { createHeartbeatReader, type ReaderOptions } from '../../src/progress/heartbeat.js';
import { notResumed } from '../../src/progress/not-resumed.js';
import type { Heartbeat, Progress } from '../../src/progress/types.js';

const readAll = (lines: readonly string[], options?: ReaderOptions): Heartbeat[] =>
  lines.flatMap(createHeartbeatReader(options));

/** Without metrics. */
const counts = (lines: readonly string[], options?: ReaderOptions): Omit<Heartbeat, 'metrics'>[] =>
  readAll(lines, options).map(({ metrics: _, ...rest }) => rest);

function after(lines: readonly string[], options?: ReaderOptions): Progress {
  let progress = startProgress({ at: 0, mono: 0 });
  for (const [index, heartbeat] of readAll(lines, options).entries()) {
    progress = fold(progress, heartbeat, { at: index, mono: index });
  }
  return progress;
}

const bar = (name: string, done: number, total: number, rest = ''): string =>
  `${name}${name && ': '} ${Math.round((100 * done) / total)}%|███▏      | ${done}/${total} [00:03<00:25, 35.1it/s${rest}]`;

const deepspeed = (step: number): string =>
  `[2026-11-22 08:39:50] [INFO] [logging.py:123:log_dist] [Rank 0] step=${step}, skipped=0, lr=[0.001], mom=[0.9]`;
const trainer = (loss: string, epoch: number): string =>
  `{'loss': '${loss}', 'grad_norm': '1.1', 'learning_rate': '4e-05', 'epoch': '${epoch}'}`;
const user: ReaderOptions = {
  user(line) {
    const groups = /^at (?<step>\d+)(?: loss (?<loss>\S+))?/.exec(line)?.groups;
    return (
      groups &&
      Object.fromEntries(Object.entries(groups).filter(([, text]) => (text as unknown) !== undefined))
    );
  },
};

describe('one attempt counts in one way', () => {
  const cases: readonly [name: string, lines: readonly string[], expected: unknown[], options?: ReaderOptions][] = [
    [
      'what a script says itself ends what was recognised',
      ['step 7 loss 0.5', 'heartbeat step=3', 'step 8 loss 0.5', 'heartbeat step=4'],
      [{ step: 7, loss: 0.5, format: 'plain' }, { step: 3 }, { step: 4 }],
    ],
    [
      "so does the user's expression",
      ['step 7 loss 0.5', 'at 100', 'step 8 loss 0.5', 'at 101 loss 0.4'],
      [{ step: 7, loss: 0.5, format: 'plain' }, { step: 100, format: 'pattern' }, { step: 101, loss: 0.4, format: 'pattern' }],
      user,
    ],
    [
      'which a script that says it itself outdoes',
      ['at 100', 'heartbeat step=3', 'at 101'],
      [{ step: 100, format: 'pattern' }, { step: 3 }],
      user,
    ],
    [
      'the first format keeps the counts',
      ['iter 120: loss 2.4100, time 134.2ms, mfu 12.1%', 'step 7 loss 0.5', 'epoch 3 loss 0.4'],
      [{ step: 120, loss: 2.41, format: 'nanogpt' }],
    ],
    [
      "DeepSpeed counts, and the Trainer's loss is heard",
      [deepspeed(10), trainer('0.5', 0.1), deepspeed(20)],
      [{ step: 10, format: 'deepspeed' }, { loss: 0.5, gradNorm: 1.1, format: 'transformers' }, { step: 20, format: 'deepspeed' }],
    ],
    [
      'the other way round too',
      [trainer('0.5', 0.1), deepspeed(10), trainer('0.4', 0.2)],
      [{ epoch: 0.1, loss: 0.5, gradNorm: 1.1, format: 'transformers' }, { epoch: 0.2, loss: 0.4, gradNorm: 1.1, format: 'transformers' }],
    ],
    [
      'two that say a loss are not heard both',
      [deepspeed(10), trainer('nan', 0.1), 'step 10 loss nan'],
      [{ step: 10, format: 'deepspeed' }, { loss: NaN, gradNorm: 1.1, format: 'transformers' }],
    ],
  ]; // prettier-ignore
  for (const [name, lines, expected, options] of cases) {
    test(name, () => assert.deepEqual(counts(lines, options), expected));
  }

  test('the counts of another counter are forgotten', () => {
    const progress = after(['step 700 loss 0.5', 'heartbeat step=3', 'heartbeat step=4']);
    assert.deepEqual([progress.firstStep, progress.step, progress.maxStep], [3, 4, 4]);
    assert.equal(progress.wentBack, undefined);
  });
});

describe('bars', () => {
  const announced = '[transformers]   Total optimization steps = 1,000';
  const cases: readonly [name: string, lines: readonly string[], expected: unknown[]][] = [
    ['one that nothing identifies is life once it moves on', [bar('', 1, 1000), bar('', 2, 1000), bar('', 2, 1000)], [{ bar: true }]],
    ['so is one with a name', [bar('Map', 1, 1000), bar('Map', 5, 1000)], [{ bar: true }]],
    ['and one without an end', ['12it [00:03, 4.0it/s]', '13it [00:03, 4.0it/s]'], [{ bar: true }]],
    ["Keras', when its headline was not heard", ['1/6 ━━━━ 3s 2ms/step - loss: 0.4', '5/6 ━━━━ 3s 2ms/step - loss: 0.4'], [{ bar: true }]],
    ['each for itself', [bar('Map', 5, 1000), bar('', 2, 9), bar('Map', 5, 1000), bar('', 2, 9)], []],
    ['the announced one counts', [announced, bar('', 500, 1000)], [{ step: 500, totalSteps: 1000, format: 'transformers' }]],
    ["diffusers' too, with its loss", [announced, bar('Steps', 5, 1000, ', step_loss=nan'), bar('Steps', 6, 1000)],
      [{ step: 5, totalSteps: 1000, format: 'transformers' }, { loss: NaN, format: 'transformers' }, { step: 6, totalSteps: 1000, format: 'transformers' }]],
    ['not one below it', [announced, `${bar('', 500, 1000)}\x1b[A`], []],
    ['not one with another total', [announced, bar('', 500, 999)], []],
    ['not one with a name', [announced, bar('Map', 500, 1000)], []],
    ['not one before it has moved', [announced, bar('', 0, 1000)], []],
    ['none after the end', [announced, "{'train_runtime': '3.1', 'train_loss': '0.4', 'epoch': '1'}", bar('', 500, 1000)], []],
  ]; // prettier-ignore
  for (const [name, lines, expected] of cases) {
    test(name, () => assert.deepEqual(counts(lines), expected));
  }

  test('are never a step, a total or progress', () => {
    const progress = after([bar('', 1, 1000), bar('', 2, 1000)]);
    assert.equal(progress.step, undefined);
    assert.equal(progress.totalSteps, undefined);
    assert.equal(progress.lastProgressMono, undefined);
    assert.equal(progress.heartbeats, 0);
  });

  test("a batch's loss is counted once, however often the bar is drawn", () => {
    const drawn = (done: number, loss: string): string => bar('Epoch 0', done, 10, `, train_loss=${loss}`);
    const once = [drawn(1, '2.1'), drawn(2, '2.1'), drawn(2, 'nan'), drawn(3, 'nan'), drawn(3, '2.0'), drawn(4, '2.0')];
    assert.equal(after(once).unhealthy, undefined);
    assert.equal(after([...once, drawn(4, 'nan'), drawn(5, 'nan'), drawn(5, 'nan'), drawn(6, 'nan')]).unhealthy?.kind, 'non-finite-loss');
  }); // prettier-ignore
});

describe('what is no report of training', () => {
  const epoch = 'Epoch 2/3';
  const keras = (done: number, of: number | string, rest: string): string =>
    `\x1b[1m${done}/${of}\x1b[0m \x1b[32m━━━━━\x1b[0m\x1b[37m━━━\x1b[0m \x1b[1m0s\x1b[0m 2ms/step${rest}`;
  const cases: readonly [name: string, lines: readonly string[], expected: unknown[]][] = [
    ["Keras' evaluate, which has no headline", [keras(3, 6, ' - loss: nan')], []],
    ['nor after an epoch', [epoch, keras(6, 6, ' - loss: 0.4'), keras(1, 6, ' - loss: nan'), keras(6, 6, ' - loss: nan')], [{ epoch: 2, loss: 0.4, format: 'keras' }]],
    ['nor within one', [epoch, keras(3, 6, ' - loss: 0.4'), keras(1, 4, ' - loss: nan'), keras(2, 6, ' - loss: nan'), keras(5, 6, ' - loss: nan')], [{ epoch: 1.5, loss: 0.4, format: 'keras' }]],
    ["the Trainer's evaluation", ["{'eval_loss': nan, 'epoch': 1.0}"], []],
    ["DeepSpeed's first line, before it has loaded anything", [deepspeed(0)], []],
    ['a validation', ['Validation: step 1240, loss nan', 'step 12 val_loss nan', 'test step 3 loss: nan'], []],
    ['another number with such a name', ['loss scale: 1024.0, step 5', 'step 5 kl_loss 0.3', 'step 5 loss weight 0.5'], []],
    ['a count without a loss, a loss without a count', ['step 5 of the installation', 'loss 0.4'], []],
    ['a dump', [`step 5 loss 0.4 ${'x'.repeat(1000)}`], []],
    ['a dict of something else', ["{'epoch': 3, 'name': 'x'}", "{'loss': 'mse', 'epoch': 3}"], []],
  ]; // prettier-ignore
  for (const [name, lines, expected] of cases) {
    test(name, () =>
      assert.deepEqual(
        counts(lines).filter(({ loss, step }) => loss !== undefined || step !== undefined),
        expected,
      ),
    );
  }
});

describe('only what goes on over the whole training says that it began anew', () => {
  const checkpoint = { id: 'checkpoint-900', step: 900 };
  const history = { everProgressed: true, longestPhaseMs: {} };
  const cases: readonly [name: string, line: string, expected: boolean, options?: ReaderOptions][] = [
    ["the script's own step", 'heartbeat step=10', true],
    ['nanoGPT', 'iter 10: loss 2.4, time 134.2ms, mfu 12.1%', true],
    ['Megatron-LM', ' iteration       10/  500000 | consumed samples: 1 | lm loss: 9.1E+00 |', true],
    ['DeepSpeed, which counts from the launch unless it loaded the checkpoint', deepspeed(10), false],
    ['a plain line, which may count an epoch', 'step 10 loss 0.4', false],
    ["the user's expression, likewise", 'at 10', false, user],
    ["Keras' epoch", 'Epoch 1/3', false],
  ];
  for (const [name, line, expected, options] of cases) {
    test(name, () => {
      assert.equal(notResumed(after([line], options), checkpoint, history)?.kind === 'not-resumed', expected);
    });
  }

  test('a recognised step that goes back is an epoch begun, and still progress', () => {
    const progress = after(['[90/100] loss: 0.4', '[10/100] loss: 0.4', '[20/100] loss: 0.4']);
    assert.equal(progress.wentBack, undefined);
    assert.equal(progress.lastProgressMono, 2);
    assert.notEqual(after(['heartbeat step=90', 'heartbeat step=10']).wentBack, undefined);
  });
});

describe("the user's expression", () => {
  const groups = (found: Record<string, string>): Heartbeat[] => readAll(['x'], { user: () => found });
  test('gives every key of a heartbeat, and other numbers as metrics', () => {
    assert.deepEqual(
      groups({
        ...{ step: '1,240', epoch: '3', loss: 'nan', grad_norm: 'inf', total_steps: '5000' },
        ...{ phase: 'EVAL', checkpoint: '7', rank: '1', acc: '0.5', note: 'fine' },
      }),
      [
        {
          ...{ step: 1240, epoch: 3, loss: NaN, gradNorm: Infinity, totalSteps: 5000 },
          ...{ phase: 'eval', checkpoint: '7', rank: 1, metrics: { acc: 0.5 }, format: 'pattern' },
        },
      ],
    );
  });
  test('is none where nothing in it is legal', () => {
    assert.deepEqual(groups({ step: 'soon', note: 'x' }), []);
    assert.deepEqual(groups({ acc: '0.5' }), []);
  });
});

test('life and bars are told apart by the clock of silence alone', () => {
  const started = startProgress({ at: 0, mono: 0 });
  assert.equal(noteLife(started, { at: 0, mono: 500 }).barMono, undefined);
  assert.equal(fold(started, { bar: true, metrics: {} }, { at: 0, mono: 500 }).barMono, 500);
});

// Linear code needs some 10 ms for each of these; the bound only tells it from quadratic code, which takes minutes.
for (const unit of [
  'x', ' ', '9', '%|', '1%|', '100%|█| 1/2 [', 'loss ', 'loss=', 'epoch ', 'step 1 ', 'Epoch 1/', "{'", "{'epoch': ",
  "'a': 1, ", ' - ', ': ', '1/2 ', '━', ' iteration 1', 'steps: 1 loss: 1 ', '\x1b[', '\b', '[1/', 'a=1,', '9it [',
]) {
  test(`time is linear on 64 KiB of ${JSON.stringify(unit)}`, () => {
    const body = unit.repeat(65_536 / unit.length);
    const lines = [body, `Epoch 1: 1%|${body}`, `{'epoch': ${body}`, `iteration 1/ 2 |${body}`, `steps: 1 loss: 1 ${body}`, `1/2 ━━ ${body}`];
    const read = createHeartbeatReader();
    // what others use of the machine is not counted
    const before = process.cpuUsage();
    for (const line of lines) read(line);
    const ms = process.cpuUsage(before).user / 1000;
    assert.ok(ms < 1000, `${ms} ms`);
  });
} // prettier-ignore

test('a line about an epoch among those of steps does not end the progress', () => {
  const steps = (first: number): string[] => [0, 1, 2].map((n) => `step ${first + n} loss 0.4`);
  for (const line of [
    'Epoch 1 finished in 80.1 min',
    'Saving model after epoch 1 to out/',
    'Adjusting learning rate (epoch 1)',
  ]) {
    for (const next of [4, 1]) {
      const before = after([...steps(1), line]);
      const later = after([...steps(1), line, ...steps(next)]);
      assert.ok(
        (later.lastProgressMono ?? 0) > (before.lastProgressMono ?? 0),
        `${line}, then step ${next}: no progress any more`,
      );
    }
  }
});
