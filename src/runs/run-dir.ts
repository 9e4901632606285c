import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode, files, syncDir } from '../util/os/durable.js';
import { makeDirs, removeEmptyDirs } from '../util/os/make-dirs.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { openRun, pathsOf, type Run, runDirOf, type RunIdentity } from './open-run.js';
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
    await sweepUnborn(path.dirname(dir), now);
    const paths = pathsOf(unborn);
    await makeFolders(unborn);
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

/**
 * Makes a run's folder anew that was deleted under its supervisor. One that is another run's by now is left alone.
 * @param lockAgain locks the folder, before anybody can take it for a run's
 */
export async function remakeRun(
  { dir, paths, ...identity }: Run,
  lockAgain: () => Promise<Result<void>>,
): Promise<Result<void>> {
  const there = await openRun(dir);
  if (!there.ok) return there;
  if (there.value && there.value.id !== identity.id) {
    const text = `${dir} was deleted, and is another run's now; stop this run (Ctrl-C, or SIGTERM to pid ${process.pid})`;
    return fail(text, exitStatus.busy);
  }
  try {
    await makeDirs(path.dirname(dir), 0o700);
    await makeFolders(dir);
    const locked = await lockAgain();
    if (!locked.ok) return locked;
    return there.value ? ok(undefined) : await writeVersioned(paths.identity, identity);
  } catch (error) {
    return refused(`make the run's folder ${dir} again`, error);
  }
}

async function makeFolders(dir: string): Promise<void> {
  const { attempts, incidents, requests } = pathsOf(dir);
  for (const folder of [dir, attempts, incidents, requests]) await makeDirs(folder, 0o700);
}

/** How old a half-made run is before its maker counts as dead, ms. */
const unbornForMs = 3_600_000;

/** Removes what a process left that was killed while it made a run. It is nobody's; what cannot be removed may stay. */
async function sweepUnborn(runs: string, now: number): Promise<void> {
  for (const name of await fs.readdir(runs)) {
    if (!/^\.new-[0-9a-f]{16}$/.test(name)) continue;
    const left = path.join(runs, name);
    try {
      if (now - (await fs.stat(left)).mtimeMs > unbornForMs) await files.rm(left, { recursive: true });
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
    }
  }
}

/** Takes away what was made for a run that came to nothing, and the folders above it that are empty again. */
async function undo(unborn: string, made: string | undefined): Promise<void> {
  try {
    await files.rm(unborn, { recursive: true, force: true });
  } catch (error) {
    // a file stands where the state folder should be, or the disk is read-only by now: the first error says why
    if (errorCode(error) === undefined) throw error;
  }
  if (made !== undefined) await removeEmptyDirs(path.dirname(unborn), made);
}
