import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fold, startProgress } from '../../src/progress/fold.js';
import { notResumed } from '../../src/progress/not-resumed.js';
import type { Heartbeat, Progress, TimingHistory } from '../../src/progress/types.js';

const known: TimingHistory = { everProgressed: true, longestPhaseMs: {} };
const after = (...beats: readonly Partial<Heartbeat>[]): Progress =>
  beats.reduce<Progress>(
    (progress, beat, at) => fold(progress, { metrics: {}, ...beat }, { at, mono: at }),
    startProgress({ at: 0, mono: 0 }),
  );

const rows: readonly [string, Progress, number | undefined, TimingHistory, boolean][] = [
  ['began at step 1 instead of 40', after({ step: 1 }), 40, known, true],
  ['began at its first report, step 10, instead of 1,000', after({ step: 10 }), 1000, known, true],
  ['began behind the checkpoint', after({ step: 41 }), 40, known, false],
  ['began at the checkpoint', after({ step: 40 }), 40, known, false],
  ['the save lagged behind: not far below', after({ step: 25 }), 40, known, false],
  ['half of it is not far below', after({ step: 20 }), 40, known, false],
  ['a step said while it starts up', after({ step: 0, phase: 'startup' }), 40, known, false],
  ['batches evaluated before it trains on', after({ step: 1, phase: 'eval' }, { step: 41, phase: 'train' }), 40, known, false],
  ['a few steps are no new beginning', after({ step: 1 }), 5, known, false],
  ['five steps are', after({ step: 1 }), 6, known, true],
  ['the checkpoint’s step is not known', after({ step: 1 }), undefined, known, false],
  ['no step was reported yet', after({ epoch: 0 }), 40, known, false],
  ['steps were seen to count anew before', after({ step: 1 }), 40, { ...known, stepsRestart: true }, false],
  ['they do in this attempt', after({ step: 2 }, { step: 1 }), 40, known, false],
  ['a later epoch: the steps count within it', after({ step: 1, epoch: 3 }), 40, known, false],
  ['an early epoch says nothing', after({ step: 1, epoch: 1 }), 40, known, true],
  ['a later epoch than any attempt began with', after({ step: 1, epoch: 1 }), 40, { ...known, firstEpoch: 0 }, false],
  ['the same epoch as always', after({ step: 1, epoch: 3 }), 40, { ...known, firstEpoch: 3 }, true],
  ['it has long gone past the checkpoint (taken over)', after({ step: 1 }, { step: 90 }), 40, known, false],
]; // prettier-ignore

describe('an attempt that was to resume and began anew', () => {
  for (const [name, progress, step, history, expected] of rows) {
    it(name, () => {
      const from = { id: 'checkpoint-40', ...(step !== undefined && { step }) };
      const finding = notResumed(progress, from, history);
      assert.equal(finding !== undefined, expected, finding?.reason);
      if (!finding) return;
      assert.equal(finding.kind, 'not-resumed');
      assert.match(finding.reason, /began at step .* instead of going on from step .* \(checkpoint-40\)/);
    });
  }
});

it('who begins where the name says went on from it, whatever heartbeat its late notice bears', () => {
  const from = { id: 'step-20.pt', step: 45, number: 20 };
  assert.equal(notResumed(after({ step: 21 }), from, known), undefined);
  assert.equal(notResumed(after({ step: 1 }), from, known)?.kind, 'not-resumed');
});
