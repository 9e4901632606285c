import { createBarNumbers, readBar } from '../bar.js';
import type { LineReader } from '../formats.js';
import { heartbeatOf } from './metric.js';

const named = /^Epoch (\d{1,9})(?:\/\d{1,9})?$/i;

/**
 * Lightning's bar, `Epoch 0:  12%|…| 120/1000 […, train_loss=0.41]`, and any other of tqdm's that is named for its epoch.
 * What it counts are an epoch's batches, which gradient accumulation makes several of to a step: so there is an epoch and
 * its part, and no step.
 */
export function createLightningReader(): LineReader {
  let lastEpoch: number | undefined;
  const numbersLeft = createBarNumbers();
  return (_line, raw) => {
    const bar = readBar(raw);
    const epoch = Number(named.exec(bar?.name ?? '')?.[1]);
    if (!bar || Number.isNaN(epoch) || bar.nested) return undefined;
    const { done, total } = bar;
    // after a validation the bar is cleared once more under its old name
    if (done === 0 && lastEpoch === epoch) return [];
    lastEpoch = epoch;
    const numbers = numbersLeft(bar)?.filter(([name]) => name !== 'v_num');
    if (!numbers) return [];
    const left = numbers.length === 0 ? [] : [heartbeatOf({}, numbers)];
    return [...left, heartbeatOf({ epoch: epoch + (total ? done / total : 0) })];
  };
}
