import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Incident } from '../../src/report/incident.js';
import { confidenceWords, incidentText } from '../../src/report/incident-text.js';

const incident: Incident = {
  number: 7,
  run: 'train',
  attempt: 2,
  at: '2026-11-22T03:12:45.678Z',
  afterSeconds: 751,
  step: 1240,
  badStep: null,
  kind: 'host-memory',
  cause: 'the kernel killed the process because memory ran out',
  confidence: 0.95,
  evidence: [
    {
      text: 'RuntimeError: killed\nby the kernel',
      source: 'worker-0.err.log:12',
      file: '/r/attempts/002/worker-0.err.log',
      line: 12,
    },
    { text: 'the out-of-memory killer struck once here', source: 'oom_kill', file: null, line: null },
  ],
  exit: { type: 'signal', signal: 'SIGKILL', number: 9 },
  signature: null,
  fingerprint: null,
  stacks: { file: '/r/attempts/002/stacks.txt', by: 'py-spy', top: 'step (train.py line 88)' },
  resumedFrom: { id: 'checkpoint-800', step: 800 },
  code: null,
  codeChanged: 'train.py was changed since attempt 1',
  advice: 'fewer data-loader workers, a smaller batch, or a higher memory limit',
  action: 'retry 1 of 3',
  rollbacks: [
    {
      at: '2026-11-22T03:12:46.000Z',
      target: { id: 'checkpoint-1200', step: 1200, standing: 'verified' },
      reason: 'checkpoint-1240 is corrupt: cut off',
      quarantined: ['checkpoint-1240'],
      quarantine: '/.ckpts.trainguard/quarantine/tx',
    },
  ],
  waitedFor: [],
  done: [
    { at: '2026-11-22T03:12:46.000Z', type: 'decided', text: 'retry 1 of 3' },
    { at: '2026-11-22T03:12:47.000Z', type: 'rolled-back', text: 'rolled back to checkpoint-1200' },
  ],
  next: null,
  lost: null,
  outcome: null,
  logs: '/r/attempts/002',
};

test('an incident is readable as plain text', () => {
  assert.equal(
    incidentText(incident),
    `# Incident 007: run train, attempt 2 failed after 12m 31s at step 1,240: host-memory

## What happened

the kernel killed the process because memory ran out.

- when: 2026-11-22 03:12:45 UTC
- how sure: nearly certain (95 %)
- how it ended: SIGKILL
- it had resumed from: checkpoint-800 (step 800)
- where it hung: step (train.py line 88)
- the code is not the same: train.py was changed since attempt 1
- now: retry 1 of 3

## What speaks for it

- /r/attempts/002/worker-0.err.log:12

      RuntimeError: killed
      by the kernel

- oom_kill

      the out-of-memory killer struck once here

## What was done

- 03:12:46  decided: retry 1 of 3
- 03:12:47  rolled back to checkpoint-1200

## What was lost

not known yet: that shows once the next attempt makes progress.

## What you may do

- fewer data-loader workers, a smaller batch, or a higher memory limit

## Where to look

- logs: /r/attempts/002
- stacks of all threads (py-spy): /r/attempts/002/stacks.txt
- moved away (checkpoint-1240): /.ckpts.trainguard/quarantine/tx
- "trainguard rollback train --undo" takes the last rollback back
`,
  );
});

const lossOf = (change: Partial<Incident>): string =>
  /## What was lost\n\n(.*)\n/.exec(incidentText({ ...incident, ...change }))?.[1] ?? '';

test('what was lost is told as far as it is known', () => {
  assert.equal(
    lossOf({ lost: { steps: 40, seconds: 80 }, outcome: 'recovered' }),
    '40 steps, 1m 20s of training: they were done again.',
  );
  assert.equal(
    lossOf({ lost: { steps: 0, seconds: 0 }, outcome: 'recovered' }),
    'nothing: no step had to be done again.',
  );
  assert.equal(lossOf({ outcome: 'recovered' }), 'not known: the training reports no steps.');
  assert.match(
    lossOf({ outcome: 'gave-up' }),
    /what was trained after the newest checkpoint has to be done again/,
  );
});

test('what was given up says how to go on', () => {
  const text = incidentText({ ...incident, outcome: 'gave-up', action: 'gave up: enough' });
  assert.match(text, /now: gave up: enough/);
  assert.match(text, /"trainguard resume train" launches it again/);
});

test('confidence is told in words', () => {
  assert.deepEqual([0.95, 0.8, 0.5, 0.3].map(confidenceWords), [
    'nearly certain (95 %)',
    'very likely (80 %)',
    'likely (50 %)',
    'a guess (30 %)',
  ]);
});
