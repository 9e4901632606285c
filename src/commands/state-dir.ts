import path from 'node:path';
import type { GlobalOptions } from '../cli.js';
import { defaultStateDir } from '../runs/run-dir.js';
import { ok, type Result } from '../util/result.js';
import { isInsideWorker } from './worker-env.js';

/** Where runs are kept: the flag, TRAINGUARD_STATE_DIR, the configuration's `stateDir`, `.trainguard` beside it. */
export function resolveStateDir(where: {
  readonly flag: string | undefined;
  readonly cwd: string;
  /** The configuration's own, already absolute. */
  readonly configured?: string;
  readonly configFile?: string;
}): string {
  const { flag, cwd, configured, configFile } = where;
  const fromEnv = isInsideWorker(process.env) ? undefined : process.env['TRAINGUARD_STATE_DIR'];
  const named = flag ?? fromEnv;
  if (named !== undefined && named !== '') return path.resolve(cwd, named);
  return configured ?? defaultStateDir(cwd, configFile);
}

/** The same for a verb that needs nothing else of the configuration; it is only loaded when it can matter. */
export async function findStateDir(options: GlobalOptions): Promise<Result<string>> {
  const cwd = process.cwd();
  const flag = options.stateDir;
  return ok(resolveStateDir({ flag, cwd }));
}
