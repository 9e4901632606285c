import { numberAt } from '../number.js';
import type { LineReader } from '../formats.js';
import { heartbeatOf } from './metric.js';

/** What stands behind a long line's beginning is a dump of something, no report. */
const longestLine = 1000;

const count = '(\\d{1,3}(?:,\\d{3}){1,4}|\\d{1,15})';
const loss =
  /(?<![\w.-])(?:([a-z]{1,20})(?:[ _/-]| - ))?loss(?:_step)?["']?(?: {0,4}[:=]| )\s{0,8}(?:tensor\()?(?=[-+.\dni])/i;
const gradNorm = /(?<![\w.-])grad[ _]?norm["']?(?: {0,4}[:=]| )\s{0,8}(?=[-+.\dni])/i;
const step = new RegExp(
  `(?<![\\w.-])(global[ _-]?)?(?:step|iter|iteration)s?["']?\\s{0,4}[:=#]?\\s{0,8}\\[?\\s{0,8}${count}(?:\\s{0,8}/\\s{0,8}${count})?(?![\\w.])`,
  'i',
);
const epochs =
  /(?<![\w.-])epochs?["']?\s{0,4}[:=#]?\s{0,8}[[(]?\s{0,8}(\d{1,9}(?:\.\d{1,9})?)(?:\s{0,8}\/\s{0,8}\d{1,9})?(?![\w.])/i;
/** `[120/1000]`, `[640/60000 (1%)]`: of the epoch, or of all. */
const part = /\[\s{0,8}(\d{1,15})\s{0,8}\/\s{0,8}(\d{1,15})(?: \(\d{1,3}%\))?\s{0,8}\]/;

/** Words before `loss` that leave it the loss that is trained with; others make another number of it. */
const training =
  /^(?:train|training|total|avg|average|mean|running|batch|step|epoch|iter|and|with|the|current|info)$/i;
const evaluation =
  /(?<![\w/.-])(?:val|valid|validation|eval|evaluation|evaluating|test|testing|dev)(?![\w/.])/i;

/**
 * A line of a script's own with a loss and what it counts: `step 120 loss 0.41`, `Epoch 3/10, loss=0.41`,
 * `[120/1000] loss: 0.4`, `Train Epoch: 1 [640/60000 (1%)] Loss: 2.3`.
 *
 * A step beside an epoch, or below a headline that names one, may be counted anew in each: there the epoch is given, with
 * its part where the line says how long one is, and no step (unless it is called global). A line about an evaluation is
 * none of these.
 */
export function createPlainReader(): LineReader {
  let headline: number | undefined;
  return (line) => {
    // a bar of rich's is drawn once all is over
    if (line.length > longestLine || line.includes('━')) return undefined;
    const epoch = numberOf(epochs.exec(line)?.[1]);
    const trained = loss.exec(line);
    if (!trained) {
      // `Epoch 3/10` above its batches; in a longer line it may be anything's
      if (epoch !== undefined && line.length <= 80) headline = epoch;
      return undefined;
    }
    if (!isTraining(line, trained)) return undefined;
    const value = numberAt(line, trained.index + trained[0].length)?.value;
    if (value === undefined) return undefined;
    const counts = countsOf(line, epoch ?? headline);
    if (!counts) return undefined;
    const norm = gradNorm.exec(line);
    const gradient = norm && numberAt(line, norm.index + norm[0].length)?.value;
    return [
      heartbeatOf(counts, [['loss', value], ...(gradient == null ? [] : [['grad_norm', gradient] as const])]),
    ];
  };
}

function isTraining(line: string, { 1: before, index }: RegExpExecArray): boolean {
  if (before !== undefined && !training.test(before)) return false;
  return /^train/i.test(before ?? '') || !evaluation.test(line.slice(0, index));
}

type Counts = Parameters<typeof heartbeatOf>[0];

function countsOf(line: string, epoch: number | undefined): Counts | undefined {
  const [, isGlobal, done, total] = step.exec(line) ?? [];
  const [, partDone, partTotal] = part.exec(line) ?? [];
  const steps = numberOf(done ?? partDone);
  const all = numberOf(done === undefined ? partTotal : total);
  if (epoch === undefined) return steps === undefined ? undefined : { step: steps, total: all };
  if (isGlobal !== undefined) return { step: steps, epoch, total: all };
  const of = all ?? numberOf(partTotal);
  const within = all === undefined ? numberOf(partDone) : steps;
  // a part beyond the whole is no part
  const isPart = within !== undefined && of !== undefined && within <= of && Number.isInteger(epoch);
  return { epoch: isPart && of > 0 ? epoch + within / of : epoch };
}

const numberOf = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : Number(text.replaceAll(',', ''));
