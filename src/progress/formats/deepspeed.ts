import type { Heartbeat } from '../types.js';
import { stepAndNumbers } from './metric.js';

const engine = /\[Rank 0\] step=(\d{1,15}), skipped=(\d{1,15}), lr=/;
const pipeline =
  /\bsteps: (\d{1,15}) loss: ([-+\w.]{1,30}) .{0,500}\biter time \(s\): ([\d.]{1,20}) samples\/sec: ([\d.]{1,20})/;

/**
 * DeepSpeed: `[Rank 0] step=10, skipped=0, lr=[…], mom=[…]` of its engine, which says no loss, and the pipeline engine's
 * `steps: 10 loss: 0.4 iter time (s): 0.21 samples/sec: 76.1`. The engine prints `step=0` as it starts, before it has
 * loaded a checkpoint: where the training begins is not known then. Its `global_step=` counts from the launch.
 */
export function readDeepspeed(line: string): Heartbeat[] | undefined {
  const step = engine.exec(line);
  if (step) return Number(step[1]) === 0 ? [] : [stepAndNumbers(step, ['skipped'])];
  const steps = pipeline.exec(line);
  return steps ? [stepAndNumbers(steps, ['loss', 'iter_time_s', 'samples_per_s'])] : undefined;
}
