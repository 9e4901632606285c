import path from 'node:path';
import { isData, isTemporary } from '../checkpoints/layouts/names.js';
import type { CheckpointFact } from '../policy/checkpoint.js';
import { parseName } from './json-checkpoints-names.js';

/** What is known of a training besides its folder. */
export interface Known {
  /** There was a checkpoint. */
  readonly hadOne: boolean;
  /** Steps were made. */
  readonly hadSteps: boolean;
}

/**
 * Whether there may have been a good checkpoint of this training, so that to begin anew may be a loss. Not where the
 * folder is empty, nor where all that it holds is one save that was cut off before any step was known.
 * @param foreign what was not recognised as a checkpoint
 */
export function hadGoodOne(
  { hadOne, hadSteps }: Known,
  checkpoints: readonly CheckpointFact[],
  foreign: readonly string[],
): boolean {
  const live = checkpoints.filter(({ spare }) => !spare);
  if (hadOne || foreign.some(isOfManager) || live.length > 1) return true;
  // what only logs and descriptions lie in may wait for its first checkpoint; anything else may be one, or the folder a wrong one
  return hadSteps && (live.length > 0 || (checkpoints.length === 0 && !foreign.every(holdsNoState)));
}

/** That there is no checkpoint, or none that is whole, in words; undefined: there is one. */
export function noneToTrust(
  dirs: readonly string[],
  checkpoints: readonly CheckpointFact[],
  foreign: readonly string[],
): string | undefined {
  const where = dirs.join(', ');
  if (checkpoints.length === 0) return noneIn(where, foreign);
  const newest = checkpoints.at(-1);
  if (!newest || !checkpoints.every(isDamaged)) return undefined;
  const [count, verb] = checkpoints.length === 1 ? ['the only checkpoint', 'is'] : [`all ${checkpoints.length} checkpoints`, 'are']; // prettier-ignore
  return `${count} in ${where} ${verb} damaged (${newest.id}: ${newest.why})`;
}

const beside =
  /\.(?:ya?ml|toml|ini|cfg|md|txt|csv|tsv|py|sh)$|(?:config|args|hparams|params|metrics|tokenizer|vocab)[^/]*\.json$|^lost\+found$/i;

/** No state of a training: a log, a description, or a first save that was cut off under its temporary name. */
function holdsNoState(name: string): boolean {
  const base = path.basename(name);
  return isData(base) || isTemporary(base) || beside.test(base);
}

const isDamaged = ({ standing }: CheckpointFact): boolean => standing === 'corrupt' || standing === 'partial';

const isOfManager = (name: string): boolean => parseName(name) !== undefined;

function noneIn(where: string, foreign: readonly string[]): string {
  const [first] = foreign;
  if (first === undefined) return `the checkpoint folder ${where} is empty`;
  const saved = foreign.some(isOfManager) ? '; what a RecoveryManager saved is read with its loadCheckpoint' : ''; // prettier-ignore
  const more = foreign.length === 1 ? '' : ` and ${foreign.length - 1} more`;
  return `no file in ${where} was recognised as a checkpoint (there is ${first}${more})${saved}`;
}

/** What may be done where no checkpoint can be resumed from and there should be one. */
export const wayOut =
  'nothing was moved. Name the right folder in checkpoints.dir, put a good checkpoint back, or set allowScratch to train from the beginning';
