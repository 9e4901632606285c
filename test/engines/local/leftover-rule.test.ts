import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeLeftover, type EndCause } from '../../../src/engines/local/leftover-rule.js';

const judge = (
  cause: EndCause,
  nowMono: number,
  idleSinceMono: number | undefined,
  killAtMono = Infinity,
): string => judgeLeftover({ cause, begunMono: 1000, nowMono, graceMs: 30_000, killAtMono }, idleSinceMono);

test('what is done with what outlived the main process', () => {
  const rows: [
    cause: EndCause,
    now: number,
    idleSince: number | undefined,
    killAt: number,
    verdict: string,
  ][] = [
    ['order', 1000, 1000, 5000, 'term'],
    ['order', 4999, undefined, 5000, 'term'],
    ['order', 5000, undefined, 5000, 'kill'],
    ['order', 1000, 1000, -Infinity, 'kill'],
    ['success', 1000, 1000, Infinity, 'leave'],
    ['success', 30_999, 1000, Infinity, 'leave'],
    ['success', 31_000, 1000, Infinity, 'term'],
    ['success', 33_000, 1000, Infinity, 'kill'],
    ['crash', 1000, 1000, Infinity, 'term'],
    ['crash', 3000, 1000, Infinity, 'kill'],
    ['crash', 3000, undefined, Infinity, 'leave'],
    ['crash', 31_000, undefined, Infinity, 'kill'],
    ['crash', 21_000, 20_000, Infinity, 'term'],
    ['crash', 22_000, 20_000, Infinity, 'kill'],
  ];
  for (const [cause, now, idleSince, killAt, verdict] of rows)
    assert.equal(
      judge(cause, now, idleSince, killAt),
      verdict,
      JSON.stringify([cause, now, idleSince, killAt]),
    );
});
