import { createKerasReader } from './formats/keras.js';
import { createLightningReader } from './formats/lightning.js';
import { createPlainReader } from './formats/plain.js';
import { createTransformersReader } from './formats/transformers.js';
import { readDeepspeed } from './formats/deepspeed.js';
import { readMegatron } from './formats/megatron.js';
import { readNanogpt } from './formats/nanogpt.js';
import type { Heartbeat } from './types.js';

/**
 * Reads one line: undefined if it is not of this format, an empty list if it is and says nothing new. May remember earlier
 * lines of the attempt, little of them.
 * @param line without terminal codes
 * @param raw with them
 */
export type LineReader = (line: string, raw: string) => readonly Heartbeat[] | undefined;

/** One way in which programs report progress with no change to them. */
export interface LineFormat {
  readonly id: string;
  /** Texts of which every line of this format contains one: the cheap test that rejects ordinary lines. */
  readonly hints: readonly string[];
  /** A reader for the lines of one attempt. */
  readonly reader: () => LineReader;
  /**
   * Its steps count the whole training, and go on where the checkpoint's stood whenever the program resumed from it: so a
   * low one says that it did not. Not so where steps may be counted anew each epoch or each launch.
   */
  readonly stepsGoOn?: true;
}

/** The formats, in order of precedence: what an earlier one reads a later one does not see. Adding one is adding a row. */
export const formats: readonly LineFormat[] = [
  { id: 'megatron', hints: ['iteration '], reader: () => readMegatron, stepsGoOn: true },
  { id: 'deepspeed', hints: [' step=', 'steps: '], reader: () => readDeepspeed },
  { id: 'nanogpt', hints: [' loss '], reader: () => readNanogpt, stepsGoOn: true },
  {
    id: 'transformers',
    hints: ['%|', "'epoch': ", 'Total optimization steps'],
    reader: createTransformersReader,
    stepsGoOn: true,
  },
  { id: 'lightning', hints: ['%|'], reader: createLightningReader },
  { id: 'keras', hints: ['Epoch ', '/step', '━', ' - loss: '], reader: createKerasReader },
  {
    id: 'plain',
    hints: ['loss', 'Loss', 'LOSS', 'epoch', 'Epoch', 'EPOCH'],
    reader: createPlainReader,
  },
];

/** Whether a step that this format gave tells where in the whole training it is. `undefined`: the script said it itself. */
export const stepsGoOn = (format: string | undefined): boolean =>
  format === undefined || formats.some(({ id, stepsGoOn }) => id === format && stepsGoOn);
