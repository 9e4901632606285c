import fs from 'node:fs/promises';
import path from 'node:path';
import { isLayoutName, layoutNames, type LayoutName } from '../checkpoints/layouts/registry.js';
import { isGlob, matching } from '../checkpoints/many/glob.js';
import type { GlobalOptions } from '../cli.js';
import type { StateRecord } from '../report/status-view.js';
import { readState, type Run } from '../runs/run-dir.js';
import { errorCode, errorText } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { nearest } from '../util/text.js';
import { findRun } from './find-run.js';
import { stateDirOf } from './seeker.js';
import { supervisionOf } from './supervision.js';

/** Options of all `checkpoints` verbs. */
export interface PlaceOptions extends GlobalOptions {
  readonly checkpointDir?: readonly string[];
  readonly layout?: string;
  readonly vault?: string;
}

/** Which folders are meant, and whose they are. */
export interface CheckpointPlace {
  /** Absolute; each is there. */
  readonly dirs: readonly string[];
  readonly layout: 'auto' | LayoutName;
  readonly vault?: string;
  readonly stateDir: string;
  readonly run?: Run;
  /** A supervisor is at work on it. */
  readonly active: boolean;
}

/**
 * The checkpoint folders of a run, or any folder.
 * @param target a run's name or a folder; undefined: `--checkpoint-dir`, else the run last at work
 */
export async function placeOf(
  target: string | undefined,
  options: PlaceOptions,
): Promise<Result<CheckpointPlace>> {
  const stateDir = await stateDirOf(options);
  if (!stateDir.ok) return stateDir;
  const layout = layoutOf(options.layout);
  if (!layout.ok) return layout;
  const given = {
    stateDir: stateDir.value,
    ...(options.vault !== undefined && { vault: path.resolve(options.vault) }),
  };
  const named = options.checkpointDir?.map((dir) => path.resolve(dir));
  const folder = target === undefined ? undefined : path.resolve(target);
  const looksLikeFolder = target !== undefined && (target.includes('/') || target === '.' || target === '..');
  if (looksLikeFolder && folder !== undefined)
    return foldersAt([folder], { ...given, layout: layout.value ?? 'auto', active: false });
  if (target === undefined && named)
    return foldersAt(named, { ...given, layout: layout.value ?? 'auto', active: false });
  const found = await findRun(stateDir.value, target);
  if (!found.ok) {
    if (folder === undefined || !(await isFolder(folder))) return found;
    return foldersAt([folder], { ...given, layout: layout.value ?? 'auto', active: false });
  }
  return ofRun(found.value, { named, layout: layout.value }, given);
}

async function ofRun(
  run: Run,
  {
    named,
    layout,
  }: { readonly named: readonly string[] | undefined; readonly layout: LayoutName | undefined },
  given: Pick<CheckpointPlace, 'stateDir' | 'vault'>,
): Promise<Result<CheckpointPlace>> {
  const record = await readState<StateRecord>(run.paths.state);
  if (!record.ok) return record;
  const settings = record.value?.settings;
  const dirs = named ?? settings?.checkpointDirs ?? (settings?.checkpointDir === undefined ? [] : [settings.checkpointDir]); // prettier-ignore
  if (dirs.length === 0) {
    const text = `run ${run.name} has no checkpoint folder; name one with --checkpoint-dir`;
    return fail(text, exitStatus.config);
  }
  const supervision = await supervisionOf(run, record.value, Date.now());
  if (!supervision.ok) return supervision;
  const known = (settings?.layout ?? 'auto') as 'auto' | LayoutName;
  return foldersAt(dirs, {
    ...{ layout: layout ?? known, run, active: supervision.value.active },
    ...(settings?.vault !== undefined && { vault: settings.vault }),
    ...given,
  });
}

async function foldersAt(
  patterns: readonly string[],
  rest: Omit<CheckpointPlace, 'dirs'>,
): Promise<Result<CheckpointPlace>> {
  const dirs: string[] = [];
  for (const pattern of patterns) {
    const found = isGlob(pattern) && !(await isFolder(pattern)) ? await matching(pattern) : [pattern];
    for (const dir of found) {
      const real = await realFolder(dir);
      if (!real.ok) return real;
      dirs.push(real.value);
    }
  }
  if (dirs.length === 0) return fail(`no folder matches ${patterns.join(', ')}`, exitStatus.usage);
  return ok({ ...rest, dirs: [...new Set(dirs)] });
}

/** @returns exit 64 for what is no folder, or cannot be listed */
async function realFolder(dir: string): Promise<Result<string>> {
  try {
    const real = await fs.realpath(dir);
    if (!(await fs.stat(real)).isDirectory()) return fail(`${dir} is a file; name the folder it lies in`, exitStatus.usage); // prettier-ignore
    await fs.readdir(real);
    return ok(real);
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    const why = code === 'ENOENT' ? `there is no folder ${dir}; check its name` : code === 'EACCES' ? `${dir} cannot be read: no permission` : `${dir} cannot be read: ${errorText(error)}`; // prettier-ignore
    return fail(why, exitStatus.usage, code);
  }
}

function layoutOf(name: string | undefined): Result<LayoutName | undefined> {
  if (name === undefined || name === 'auto') return ok(undefined);
  if (isLayoutName(name)) return ok(name);
  const near = nearest(name, layoutNames);
  const hint = near === undefined ? '' : ` (did you mean ${near}?)`;
  return fail(`unknown layout ${name}${hint}; there are auto, ${layoutNames.join(', ')}`, exitStatus.usage);
}

async function isFolder(dir: string): Promise<boolean> {
  try {
    return (await fs.stat(dir)).isDirectory();
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return false;
  }
}
