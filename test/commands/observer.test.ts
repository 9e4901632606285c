import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noEcho } from '../../src/commands/echo.js';
import { createObserver } from '../../src/commands/observer.js';
import { type TetherWord, tetherOutput } from '../../src/commands/tether.js';
import { events, states } from '../policy/samples.js';

test('an attempt that is taken over is under way once its worker was found, not before', () => {
  const words: TetherWord[] = [];
  const tether = { say: (word: TetherWord) => void words.push(word) };
  const observe = createObserver({
    runDir: '/runs/play',
    telling: { run: 'play', command: 'train', checkpoints: 'none' },
    ...{ json: false, output: tetherOutput(tether), echo: noEcho, tether, shown: undefined },
    log: () => undefined,
    note: () => undefined,
  });
  const underway = (): number => words.filter(({ type }) => type === 'underway').length;
  const { running } = states;
  observe({ event: events.started, before: running, after: running, effects: [] });
  assert.equal(underway(), 0);
  observe({ event: events.adopted, before: running, after: running, effects: [] });
  assert.equal(underway(), 1);
});
