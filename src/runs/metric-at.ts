import type { Heartbeat } from '../progress/types.js';
import { readMetrics } from './metrics.js';

/**
 * What a metric was at a step, by a run's metrics.jsonl: as reported at that step, else as last reported before it. Where
 * steps were done again the later report counts. What cannot be read says nothing.
 * @param name `loss`, `gradNorm`, or as the training's own lines name it
 */
export async function metricAtSteps(
  file: string,
  name: string,
): Promise<(step: number) => number | undefined> {
  const read = await readMetrics(file);
  const values = new Map<number, number>();
  for (const { heartbeat } of read.ok ? read.value : []) {
    const value = valueOf(heartbeat, name);
    if (heartbeat.step !== undefined && value !== undefined) values.set(heartbeat.step, value);
  }
  const steps = [...values.keys()].sort((a, b) => a - b);
  return (step) => {
    const last = steps.findLast((one) => one <= step);
    return last === undefined ? undefined : values.get(last);
  };
}

function valueOf(heartbeat: Heartbeat, name: string): number | undefined {
  if (name === 'loss') return heartbeat.loss;
  if (name === 'gradNorm' || name === 'grad_norm') return heartbeat.gradNorm;
  return Object.hasOwn(heartbeat.metrics, name) ? heartbeat.metrics[name] : undefined;
}
