import type { Heartbeat } from '../types.js';
import { stepAndNumbers } from './metric.js';

const iteration = /\biter (\d{1,15}): loss ([-+\w.]{1,30}), time ([\d.]{1,20})ms(?:, mfu (-?[\d.]{1,20})%)?/;
const evaluation = /\bstep (\d{1,15}): train loss ([-+\w.]{1,30}), val loss ([-+\w.]{1,30})/;

/**
 * nanoGPT: `iter 120: loss 2.4100, time 134.20ms, mfu 12.10%`. In `step 250: train loss 2.1, val loss 2.2` both losses are
 * an evaluation's. Its counter goes on where the checkpoint's stood.
 */
export function readNanogpt(line: string): Heartbeat[] | undefined {
  const trained = iteration.exec(line);
  if (trained) return [stepAndNumbers(trained, ['loss', 'time_ms', 'mfu'])];
  const evaluated = evaluation.exec(line);
  return evaluated ? [stepAndNumbers(evaluated, ['eval_train_loss', 'val_loss'])] : undefined;
}
