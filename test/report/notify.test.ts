import assert from 'node:assert/strict';
import { test } from 'node:test';
import { notificationOf } from '../../src/report/notify.js';
import type { FailureRecord, State } from '../../src/policy/state.js';
import type { Happening } from '../../src/supervisor/parts.js';
import { events, states } from '../policy/samples.js';

const facts = { run: 'digits', host: 'node7', runDir: '/runs/digits' };

const failure: FailureRecord = {
  ...{ attempt: 1, at: 0, kind: 'storage', step: 1240, quarantined: [], exit: { type: 'code', code: 1 } },
  ...{ reason: 'no space left for HF_TOKEN=abcdefgh', advice: 'make room', evidence: [] },
  action: 'retry 1 of 3',
};
const withFailure = (state: State, totalFailures: number): State => ({
  ...state,
  ledger: { ...state.ledger, totalFailures, failures: totalFailures === 0 ? [] : [failure] },
});
const told = (happening: Omit<Happening, 'effects'>): ReturnType<typeof notificationOf> =>
  notificationOf(facts, { ...happening, effects: [] });

test('the first failure, once it is decided what follows; no later one', () => {
  const before = withFailure(states['inspecting/failure'], 0);
  const after = withFailure(states['backing-off'], 1);
  const first = told({ event: events.inspected, before, after });
  assert.deepEqual(first, {
    ...{ schemaVersion: 1, event: 'first-failure', ...facts, attempt: 1, step: 1240 },
    at: new Date(events.inspected.at).toISOString(),
    text:
      'digits on node7: attempt 1 failed at step 1,240: storage: no space left for HF_TOKEN=***\n' +
      'make room\nretry 1 of 3',
    failure: { kind: 'storage', reason: 'no space left for HF_TOKEN=***', advice: 'make room' },
  });
  assert.equal(
    told({ event: events.inspected, before: withFailure(before, 1), after: withFailure(after, 2) }),
    undefined,
  );
});

test('a first failure that ends the run is told as its end alone', () => {
  const before = withFailure(states['inspecting/failure'], 0);
  const rollingBack = withFailure(states['rolling-back'], 1) as Extract<State, { name: 'rolling-back' }>;
  const givingUp: State = { ...rollingBack, next: { type: 'give-up', why: 'enough' } };
  const puttingBack = withFailure(states['putting-back'], 1);
  for (const after of [givingUp, puttingBack])
    assert.equal(told({ event: events.inspected, before, after }), undefined);
  const after: State = {
    ...(withFailure(states['ended/failed'], 1) as Extract<State, { name: 'ended' }>),
    reason: 'gave up: enough',
  };
  const end = told({ event: events.inspected, before, after });
  assert.equal(end?.event, 'gave-up');
  assert.match(
    end.text,
    /^digits on node7: gave up after .*\ngave up: enough\nattempt 1 failed at step 1,240: .*\nmake room\nlogs: \/runs\/digits$/,
  );
  assert.equal(end.failure?.kind, 'storage');
});

test('the end of a run that is done, and of none that was stopped', () => {
  const { running } = states;
  const done = told({ event: events.inspected, before: running, after: states['ended/completed'] });
  assert.equal(done?.event, 'done');
  assert.match(done.text, /^digits on node7: completed in /);
  for (const after of [states['ended/stopped'], states['ended/preempted']])
    assert.equal(told({ event: events['stop-requested'], before: running, after }), undefined);
  const ended = states['ended/completed'];
  assert.equal(
    told({ event: events.inspected, before: ended, after: ended }),
    undefined,
    'it had ended before',
  );
});

test('a warning of silence, and nothing of what goes well', () => {
  const { running } = states;
  const silence = told({ event: events['silence-warning'], before: running, after: running });
  assert.equal(silence?.event, 'silence');
  assert.match(silence.text, /^digits on node7: no progress for .*; /);
  for (const event of [events.launched, events.progressed, events['checkpoint-verified']])
    assert.equal(told({ event, before: running, after: running }), undefined);
});
