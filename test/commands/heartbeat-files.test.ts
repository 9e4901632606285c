import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { watchHeartbeatFiles } from '../../src/commands/heartbeat-files.js';
import type { Clock } from '../../src/supervisor/ports.js';
import { atEnd } from '../support/cleanup.js';
import { eventually } from '../support/eventually.js';
import { tempDir } from '../support/temp-dir.js';

test('a look finds what is new, longer or written to, and nothing else', async (t) => {
  const dir = tempDir(t);
  const events = path.join(dir, 'runs', 'a', 'events.out.tfevents.1');
  mkdirSync(path.dirname(events), { recursive: true });
  writeFileSync(events, 'x');
  let growths = 0;
  const { clock, look, looks } = virtualClock();
  atEnd(
    t,
    watchHeartbeatFiles([path.join(dir, 'run*'), path.join(dir, 'wandb.log')], clock, () => growths++),
  );
  await eventually(() => looks() === 1, 'the first look');

  const changes: readonly [change: () => void, grew: number][] = [
    [() => undefined, 0],
    [() => appendFileSync(events, 'y'), 1],
    [() => undefined, 0],
    [() => writeFileSync(path.join(dir, 'wandb.log'), ''), 1],
    [() => unlinkSync(events), 0],
    [() => symlinkSync('..', path.join(dir, 'runs', 'loop')), 0],
    [() => writeFileSync(path.join(dir, 'other'), 'x'), 0],
  ];
  for (const [index, [change, grew]] of changes.entries()) {
    const before = growths;
    change();
    await look();
    assert.equal(growths - before, grew, `change ${index}`);
  }

  /** A clock whose timers go off when told to. */
  function virtualClock(): { clock: Clock; look: () => Promise<void>; looks: () => number } {
    let due: (() => void) | undefined;
    let count = 0;
    const clock: Clock = {
      now: () => 0,
      mono: () => 0,
      random: () => 0,
      after(_, callback) {
        due = callback;
        count++;
        return () => undefined;
      },
    };
    return {
      clock,
      looks: () => count,
      async look() {
        const before = count;
        due?.();
        await eventually(() => count > before, 'another look');
      },
    };
  }
});
