import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode, files, syncDir } from '../util/os/durable.js';
import { makeDirs } from '../util/os/make-dirs.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { pathsOf, type Run, runDirOf, type RunIdentity } from './open-run.js';
import { refused } from './problems.js';
import { validRunName } from './valid-run-name.js';
import { writeVersioned } from './versioned-file.js';

export * from './open-run.js';

/** The version of the folder's layout, in run.json. */
const layoutVersion = 1;

/**
 * Makes a new run's folder, 0700, whole or not at all: it is made under another name and renamed. A run that exists,
 * or that another process makes at the same instant, is a Problem of code EEXIST.
 * @param now ms since 1970
 */
export async function createRun(stateDir: string, name: string, now: number): Promise<Result<Run>> {
  const valid = validRunName(name);
  if (!valid.ok) return valid;
  const id = randomBytes(8).toString('hex');
  const identity: RunIdentity = { name, id, createdAt: now, layoutVersion };
  const dir = runDirOf(stateDir, name);
  const unborn = path.join(path.dirname(dir), `.new-${id}`);
  let made: string | undefined;
  try {
    made = await makeDirs(path.dirname(dir), 0o700);
    const paths = pathsOf(unborn);
    for (const folder of [unborn, paths.attempts, paths.incidents, paths.requests]) {
      await files.mkdir(folder, { mode: 0o700 });
    }
    const written = await writeVersioned(paths.identity, identity);
    if (!written.ok) {
      await undo(unborn, made);
      return written;
    }
    await files.rename(unborn, dir);
    await syncDir(path.dirname(dir));
    return ok({ ...identity, dir, paths: pathsOf(dir) });
  } catch (error) {
    await undo(unborn, made);
    if (errorCode(error) !== 'ENOTEMPTY' && errorCode(error) !== 'EEXIST') {
      return refused(`make the run's folder ${dir}`, error);
    }
    return fail(`${dir} exists already; choose another --name`, exitStatus.busy, 'EEXIST');
  }
}

/** Takes away what was made for a run that came to nothing, and the folders above it that are empty again. */
async function undo(unborn: string, made: string | undefined): Promise<void> {
  try {
    await fs.rm(unborn, { recursive: true, force: true });
  } catch (error) {
    // a file stands where the state folder should be: nothing was made
    if (errorCode(error) === 'ENOTDIR') return;
    throw error;
  }
  let dir = path.dirname(unborn);
  for (; made !== undefined && dir.length >= made.length; dir = path.dirname(dir)) {
    try {
      await files.rmdir(dir);
    } catch (error) {
      // another run has moved in meanwhile
      if (['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(errorCode(error) ?? '')) return;
      throw error;
    }
  }
}
