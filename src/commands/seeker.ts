import type { GlobalOptions } from '../cli.js';
import type { Seeker } from '../config/locate.js';
import { findStateDir } from '../config/state-dir.js';
import type { Result } from '../util/result.js';

/** From where, and on whose behalf, the configuration is looked for. */
export const seekerOf = (options: GlobalOptions): Seeker => ({
  cwd: process.cwd(),
  env: process.env,
  ...(options.config !== undefined && { file: options.config }),
});

/** Where runs are kept, for a verb that needs nothing else of the configuration. */
export const stateDirOf = (options: GlobalOptions): Promise<Result<string>> =>
  findStateDir(seekerOf(options), options.stateDir);
