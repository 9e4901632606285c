import path from 'node:path';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { locateConfig, type Seeker } from './locate.js';
import { isTable, parseSource } from './parse.js';
import { resolveStateDir } from './resolve.js';

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
