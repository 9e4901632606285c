import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { openHistory } from '../../src/commands/history.js';
import { resolvePolicy } from '../../src/config/resolve.js';
import type { Event } from '../../src/policy/event.js';
import { replay } from '../../src/policy/transition.js';
import type { Result } from '../../src/util/result.js';
import { tempDir } from '../support/temp-dir.js';

const valueOf = <T>(result: Result<T>): T => {
  assert.ok(result.ok, result.ok ? '' : result.error.message);
  return result.value;
};

const { stopOnRepeat: _off, ...usual } = resolvePolicy({});
const patient = { ...usual, maxRetries: 10_000 };

/** The events of so many attempts, all of which crash. */
function crashes(attempts: number): readonly Event[] {
  let ms = 0;
  const at = () => ({ at: 1_700_000_000_000 + ++ms, mono: ms });
  const inspected = (): Event => ({
    type: 'inspected',
    checkpoints: [],
    guessed: false,
    jitter: 0.5,
    ...at(),
  });
  const events: Event[] = [{ type: 'started', bootId: 'b', ...at() }];
  for (let attempt = 0; attempt < attempts; attempt++) {
    events.push(
      inspected(),
      { type: 'host-ready', ...at() },
      { type: 'launched', pid: 100 + attempt, ...at() },
    );
    const exit = { type: 'code', code: 1 } as const;
    const failure = { kind: 'exception', reason: `no ${attempt}`, evidence: [], confidence: 1 } as const;
    const summary = { heartbeats: 1, lastStep: attempt, loss: NaN, longestPhaseMs: {} };
    events.push({ type: 'exited', exit, failure, summary, ...at() }, inspected(), {
      type: 'backoff-elapsed',
      ...at(),
    });
  }
  return events;
}

test('a long past is folded while the run goes on, and what it comes to is the same', async (t) => {
  const file = path.join(tempDir(t), 'journal.jsonl');
  const events = crashes(1000);
  const history = valueOf(await openHistory(file));
  valueOf(await history.begin(patient));
  // by twenties: each append is an fsync
  for (let i = 0; i < events.length; i += 20) valueOf(await history.append(events.slice(i, i + 20)));
  const { last } = history;
  await history.close();
  const lines = readFileSync(file, 'utf8').trim().split('\n').length;
  assert.ok(events.length > 5000 && lines <= 2020, `${lines} lines for ${events.length} events`);
  assert.ok(last > events.length, 'numbers go on');
  const again = valueOf(await openHistory(file));
  const whole = replay(patient, events);
  assert.equal(whole.ledger.totalFailures, 1000);
  assert.deepEqual(again.state, whole);
  await again.close();
});

test('a journal of an older version that was never folded is, once a run begins on it', async (t) => {
  const file = path.join(tempDir(t), 'journal.jsonl');
  const events = crashes(400);
  const history = valueOf(await openHistory(file));
  valueOf(await history.begin(patient));
  valueOf(await history.append(events.slice(0, 1900)));
  await history.close();
  const second = valueOf(await openHistory(file));
  valueOf(await second.begin({ ...patient, maxRetries: 1 }));
  valueOf(await second.append(events.slice(1900, 2000)));
  assert.equal(readFileSync(file, 'utf8').trim().split('\n').length, 2);
  await second.close();
  const third = valueOf(await openHistory(file));
  assert.equal(third.state.name, 'ended', 'by the policy it had then');
  await third.close();
});
