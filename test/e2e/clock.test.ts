import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, test } from 'node:test';
import { tempDir } from '../support/temp-dir.js';
import { digestInPeace, digestThrough, digits, guard, kindsOf, ofType, statusOf, summaryOf } from './kit.js';

const LENGTH = ['--steps', '40', '--save-every', '10'] as const;
const hours = 3_600_000;

describe('a wall clock that jumps while a run is at work', { concurrency: 2 }, () => {
  for (const [name, jumpMs] of [
    ['five hours ahead', 5 * hours],
    ['five hours back', -5 * hours],
  ] as const) {
    test(`${name}: nobody hangs, no wait is cut or drawn out, the weights are the same`, async (t) => {
      const cwd = tempDir(t);
      const wanted = digestInPeace(t, ...LENGTH);
      // every look at the clock but the first hundred is after the jump
      const jump = path.join(cwd, 'jump.mjs');
      writeFileSync(
        jump,
        `const now = Date.now; let looks = 0; Date.now = () => now() + (++looks > 100 ? ${jumpMs} : 0);\n`,
      );
      const ended = await guard(t, digits(...LENGTH, '--step-time', '0.05'), {
        cwd,
        env: { DIGITS_FAULT: 'crash@step=25', NODE_OPTIONS: `--import=${pathToFileURL(jump).href}` },
        flags: ['--heartbeat-timeout', '30', '--backoff-initial', '1'],
      }).done;
      assert.equal(ended.code, 0, ended.stderr);
      assert.equal(digestThrough(ended), await wanted);
      const { run } = summaryOf(ended);
      assert.deepEqual(kindsOf(run), ['exception']);
      const [first] = ofType(ended, 'started');
      assert.ok(first);
      const last = ofType(ended, 'inspected').at(-1);
      assert.ok(last);
      const jumped = Math.abs(Date.parse(last.at) - Date.parse(first.at));
      assert.ok(jumped > 4 * hours, 'the clock of the supervisor did jump');
      const [crash] = ofType(ended, 'exited');
      const [waited] = ofType(ended, 'backoff-elapsed');
      assert.ok(crash && waited);
      const waitedMs = waited.mono - crash.mono;
      assert.ok(waitedMs > 500 && waitedMs < hours, `${waitedMs} ms`);
      assert.equal((await statusOf(t, cwd, 'digits')).state, 'completed');
    });
  }
});
