import { type Draft, newDraft, setField } from '../draft.js';
import { numberAt } from '../number.js';
import type { Heartbeat } from '../types.js';

/** The names under which programs print the loss they train with; anything else of that kind is a metric. */
const lossNames: ReadonlySet<string> = new Set([
  'loss',
  'train_loss',
  'train/loss',
  'training_loss',
  'train_loss_step',
  'loss_step',
  'step_loss',
]);

const evaluation = /^(?:val|valid|validation|eval|test|dev)(?![a-z])/i;

/** Whether a name says that the number under it was measured on data that is not trained on. */
export const isEvaluation = (name: string): boolean => evaluation.test(name);

/** The number that a text is, whole: `0.41`, `nan`, `4.583e-05`; undefined if it is none. */
export function wholeNumber(text: string): number | undefined {
  const trimmed = text.trim();
  const number = numberAt(trimmed, 0);
  return number?.end === trimmed.length ? number.value : undefined;
}

/** Adds a number by the name that a framework printed before it. Counts are for the format to set. */
export function addMetric(draft: Draft, name: string, value: number): void {
  const key = name.toLowerCase().replaceAll(/[\s-]+/g, '_');
  if (lossNames.has(key)) setField(draft, 'loss', value);
  else if (key === 'grad_norm') setField(draft, 'grad_norm', value);
  // a count of its own under a known key is nobody's step
  else setField(draft, reserved.has(key) ? `${key}_` : name, value);
}

const reserved: ReadonlySet<string> = new Set(['step', 'epoch', 'total_steps', 'rank']);

/** A heartbeat of these counts, and whatever numbers come by name. Illegal counts are left out. */
export function heartbeatOf(
  counts: {
    readonly step?: number | undefined;
    readonly epoch?: number | undefined;
    readonly total?: number | undefined;
  },
  numbers: Iterable<readonly [name: string, value: number]> = [],
): Heartbeat {
  const draft = newDraft();
  if (counts.step !== undefined) setField(draft, 'step', counts.step);
  if (counts.epoch !== undefined) setField(draft, 'epoch', counts.epoch);
  if (counts.total !== undefined) setField(draft, 'total_steps', counts.total);
  for (const [name, value] of numbers) addMetric(draft, name, value);
  return draft.heartbeat;
}

/** A heartbeat of a match whose first group is the step, and whose others are numbers of these names, in order. */
export const stepAndNumbers = ([, step, ...texts]: RegExpExecArray, names: readonly string[]): Heartbeat =>
  heartbeatOf(
    { step: Number(step) },
    names.flatMap((name, index) => {
      const value = wholeNumber(texts[index] ?? '');
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
