import { createBarNumbers, readBar } from '../bar.js';
import type { LineReader } from '../formats.js';
import { numberAt } from '../number.js';
import type { Heartbeat } from '../types.js';
import { heartbeatOf, isEvaluation, wholeNumber } from './metric.js';

/** `Total optimization steps = 1,234`, as the Trainer and accelerate's example scripts announce a training. */
const announced = /\bTotal optimization steps {0,4}= {0,4}(\d[\d,]{0,20})/;
const field = /'([^']{1,100})': (?:'([^']{0,100})'|([^,'{}[\]]{1,100}))/g;

const longestFields = 8192;

/** Names of the outermost bar: the Trainer's and accelerate's have none, diffusers' scripts call it so. */
const barNames: ReadonlySet<string> = new Set(['', 'Steps']);

/**
 * Hugging Face's Trainer, and the scripts of accelerate and diffusers.
 *
 * The Trainer's own lines bear an epoch and no step. Steps are believed only from the outermost bar, and only where the
 * total that was announced is the bar's: other bars bear other totals, or a name, or stand below it (an evaluation's).
 * Without the announcement (the library's log level is WARNING unless a script sets it) there are no steps.
 */
export function createTransformersReader(): LineReader {
  let total: number | undefined;
  const numbersLeft = createBarNumbers();

  function readSteps(raw: string): Heartbeat[] | undefined {
    const bar = total === undefined ? undefined : readBar(raw);
    if (!bar || bar.total !== total || bar.nested || !barNames.has(bar.name)) return undefined;
    const numbers = numbersLeft(bar);
    if (!numbers) return [];
    const left = numbers.length === 0 ? [] : [heartbeatOf({}, numbers)];
    // a bar stands at 0 until a training that goes on has found its place: where it begins is not known yet
    return bar.done === 0 ? left : [...left, heartbeatOf({ step: bar.done, total })];
  }

  return (line, raw) => {
    const digits = announced.exec(line)?.[1];
    if (digits !== undefined) total = numberAt(digits, 0, true)?.value;
    const fields = readFields(line);
    if (!fields) return readSteps(raw);
    // what bars show from here on is no training
    if (fields.has('train_runtime')) total = undefined;
    return fromFields(fields);
  };
}

/** `{'loss': 0.52, …, 'epoch': 0.12}`; since version 5 each number is a text of its own. */
function readFields(line: string): ReadonlyMap<string, number> | undefined {
  const from = line.indexOf("{'");
  if (from === -1 || !line.includes("'epoch': ", from)) return undefined;
  const fields = new Map<string, number>();
  for (const [, name = '', quoted, bare] of line.slice(from, from + longestFields).matchAll(field)) {
    const value = wholeNumber(quoted ?? bare ?? '');
    if (value !== undefined) fields.set(name, value);
  }
  return fields;
}

function fromFields(fields: ReadonlyMap<string, number>): Heartbeat[] | undefined {
  const epoch = fields.get('epoch');
  const isTraining = fields.has('loss');
  const names = [...fields.keys()];
  if (fields.has('train_runtime')) return [];
  if (epoch === undefined || !(isTraining || names.some(isEvaluation))) return undefined;
  return [
    heartbeatOf(
      { epoch },
      [...fields].filter(([name]) => name !== 'epoch'),
    ),
  ];
}
