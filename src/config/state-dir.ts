import path from 'node:path';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { defaults } from './defaults.js';
import { isInWorker, locateConfig, type Seeker } from './locate.js';

/** Where a command is called. */
export interface Surroundings {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly configFile?: string;
}

/**
 * Where runs are kept, for commands that need nothing else of the configuration (status, logs, stop): the file is found
 * and parsed, but not checked, so that nothing heavy is loaded and a mistake elsewhere in it is in nobody's way.
 * @param byFlag `--state-dir`, as given
 * @returns absolute
 */
export async function findStateDir(seeker: Seeker, byFlag?: string): Promise<Result<string>> {
  const surroundings = { cwd: seeker.cwd, env: seeker.env };
  if (byFlag !== undefined) return ok(resolveStateDir(surroundings, byFlag, undefined));
  const located = await locateConfig(seeker);
  if (!located.ok) return located;
  const source = located.value;
  if (!source) return ok(resolveStateDir(surroundings, undefined, undefined));
  const { isTable, parseSource } = await import('./parse.js');
  const parsed = await parseSource(source);
  if (!parsed.ok) return parsed;
  const named = isTable(parsed.value) ? parsed.value['stateDir'] : undefined;
  if (named !== undefined && (typeof named !== 'string' || named === '')) {
    return fail(
      `${source.file}: stateDir must be a folder, not ${JSON.stringify(named)}.`,
      exitStatus.config,
    );
  }
  const byConfig = named === undefined ? undefined : path.resolve(path.dirname(source.file), named);
  return ok(resolveStateDir({ ...surroundings, configFile: source.file }, undefined, byConfig));
}

/** The state folder: flag, TRAINGUARD_STATE_DIR, configuration; else beside the configuration or in the working directory. */
export function resolveStateDir(
  { cwd, env, configFile }: Surroundings,
  byFlag: string | undefined,
  byConfig: string | undefined,
): string {
  const byEnvironment = isInWorker(env) ? undefined : env['TRAINGUARD_STATE_DIR'];
  const named = byFlag ?? (byEnvironment === '' ? undefined : byEnvironment);
  if (named !== undefined) return path.resolve(cwd, named);
  return (
    byConfig ?? path.join(configFile === undefined ? cwd : path.dirname(configFile), defaults.stateDirName)
  );
}
