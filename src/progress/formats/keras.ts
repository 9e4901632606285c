import type { LineReader } from '../formats.js';
import { heartbeatOf, isEvaluation, wholeNumber } from './metric.js';

const header = /^\s{0,8}Epoch (\d{1,9})\/\d{1,9}\s{0,8}$/;
const bar = /^\s{0,16}(\d{1,12})\/(\d{1,12}|Unknown) (?:━{1,60}|\[[=>.]{1,60}\]|-)/;
const longestMetrics = 2000;

/** The epoch whose header was printed last. */
interface Epoch {
  readonly number: number;
  readonly batches?: string;
  readonly done: number;
  /** Its last batch was seen: the only line still to come is the one with the validation's numbers. */
  readonly ended: boolean;
}

/**
 * Keras: `Epoch 3/10`, and under it `120/938 ━━━━ 3s 2ms/step - accuracy: 0.9 - loss: 0.41` (its bar) or one such line
 * an epoch. Its bars of `evaluate` and `predict` look the same: they bear no header, count anew, or have another length.
 * Batches are counted within the epoch, so there is an epoch and its part, and no step. The loss is the epoch's so far.
 */
export function createKerasReader(): LineReader {
  let epoch: Epoch | undefined;
  return (line) => {
    const number = header.exec(line)?.[1];
    if (number !== undefined) {
      epoch = { number: Number(number), done: 0, ended: false };
      return undefined; // others print such a headline too
    }
    const [all, done, batches] = bar.exec(line) ?? [];
    if (all === undefined) return undefined;
    if (!epoch || (epoch.batches ?? batches) !== batches) return [];
    const numbers = numbersOf(line.slice(all.length, all.length + longestMetrics));
    const isLast = done === batches;
    const isClosing = epoch.ended && isLast && numbers.some(([name]) => isEvaluation(name));
    if (epoch.ended && !isClosing) return [];
    if (Number(done) < epoch.done) {
      epoch = undefined;
      return [];
    }
    const part = batches === 'Unknown' ? 0 : Number(done) / Number(batches);
    const position = epoch.number - 1 + part;
    epoch = isClosing ? undefined : { ...epoch, batches: batches ?? '', done: Number(done), ended: isLast };
    // its loss was given with the last batch
    const counted = isClosing ? numbers.filter(([name]) => name !== 'loss') : numbers;
    return [heartbeatOf({ epoch: position }, counted)];
  };
}

const numbersOf = (text: string): (readonly [string, number])[] =>
  text.split(' - ').flatMap((part) => {
    const colon = part.indexOf(': ');
    const value = colon === -1 ? undefined : wholeNumber(part.slice(colon + 2));
    return value === undefined ? [] : [[part.slice(0, colon).trim(), value] as const];
  });
