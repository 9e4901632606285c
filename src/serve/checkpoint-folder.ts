import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import { errorCode, errorText } from '../util/os/durable.js';
import { makeDirs } from '../util/os/make-dirs.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { flagNames, type OptionNames } from './option-names.js';

/**
 * Makes the folder for checkpoints, so that one that cannot be is told at the start and not when the first worker saves.
 * @returns exit 78 with one clear sentence
 */
export async function makeCheckpointFolder(
  dir: string,
  { checkpointDir }: OptionNames = flagNames,
): Promise<Result<undefined>> {
  try {
    await makeDirs(dir, 0o700);
    await fs.access(dir, constants.R_OK | constants.W_OK | constants.X_OK);
    return ok(undefined);
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined || code.startsWith('ERR_')) throw error;
    return fail(
      `checkpoints cannot be kept in ${dir}: ${errorText(error)}; make it a folder that can be written to, or choose another ${checkpointDir}`,
      exitStatus.config,
      code,
    );
  }
}
