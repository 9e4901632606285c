import type { Heartbeat } from '../types.js';
import { heartbeatOf, wholeNumber } from './metric.js';

const start = /\biteration {1,12}(\d{1,15})\/ {0,12}(\d{1,15}) \|/;
const longestRest = 4000;
const nanIterations = 'number of nan iterations';

/**
 * Megatron-LM and what was made from it: `iteration 100/ 500000 | consumed samples: 25600 | … | lm loss: 9.1E+00 | …`.
 * Its counter goes on where the checkpoint's stood. It leaves out a loss that is no number, and counts it instead.
 */
export function readMegatron(line: string): Heartbeat[] | undefined {
  const match = start.exec(line);
  if (!match) return undefined;
  const from = match.index + match[0].length;
  const numbers = line
    .slice(from, from + longestRest)
    .split('|')
    .flatMap((part) => {
      const colon = part.lastIndexOf(':');
      const value = colon === -1 ? undefined : wholeNumber(part.slice(colon + 1));
      return value === undefined ? [] : [[nameOf(part.slice(0, colon)), value] as const];
    });
  const byName = new Map(numbers);
  if (!byName.has('loss') && (byName.get(nanIterations) ?? 0) > 0) numbers.push(['loss', NaN]);
  return [heartbeatOf({ step: Number(match[1]), total: Number(match[2]) }, numbers)];
}

function nameOf(text: string): string {
  const name = text.trim();
  return name === 'lm loss' ? 'loss' : name;
}
