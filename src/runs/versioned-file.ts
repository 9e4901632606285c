import { readFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode, files, syncDir, writeFileAtomic } from '../util/os/durable.js';
import { ok, type Result } from '../util/result.js';
import { fromJson, toJson } from './json.js';
import { damaged, refused, tooNew } from './problems.js';

/** The version of every file under a run's folder. */
export const schemaVersion = 1;

/** Replaces a JSON file as a whole, 0600, with `schemaVersion` first. */
export async function writeVersioned(file: string, value: object): Promise<Result<void>> {
  try {
    await writeFileAtomic(file, `${toJson({ schemaVersion, ...value })}\n`);
    return ok(undefined);
  } catch (error) {
    return refused(`write ${file}`, error);
  }
}

/**
 * Reads what {@link writeVersioned} wrote; undefined: there is no such file.
 * @param wayOut what a person may do when it is damaged
 * @returns the value with its `schemaVersion` taken off; its shape is trusted, as only we write it
 */
export const readVersioned = <T extends object>(
  file: string,
  wayOut: string,
): Promise<Result<T | undefined>> => Promise.resolve(readNow<T>(file, wayOut));

/** Not by promises, which would take several times as long for files as small as these. */
function readNow<T extends object>(file: string, wayOut: string): Result<T | undefined> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return ok(undefined);
    return refused(`read ${file}`, error);
  }
  let value: unknown;
  try {
    value = fromJson(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return damaged(file, text.trim() === '' ? 'it is empty' : 'it is no JSON', wayOut);
  }
  if (typeof value !== 'object' || value === null || !('schemaVersion' in value)) {
    return damaged(file, 'it has no schemaVersion', wayOut);
  }
  const { schemaVersion: version, ...rest } = value;
  if (typeof version !== 'number') return damaged(file, 'its schemaVersion is no number', wayOut);
  if (version > schemaVersion) return tooNew(file, version, schemaVersion);
  return ok(rest as T);
}

/**
 * Moves a damaged file that can be made anew out of the way, to the first free `<file>.damaged-N`; after 99 of them
 * the last is replaced.
 * @returns where it is now
 */
export async function setAside(file: string): Promise<Result<string>> {
  try {
    const target = await freeName(`${file}.damaged`);
    await files.rename(file, target);
    await syncDir(path.dirname(file));
    return ok(target);
  } catch (error) {
    return refused(`move ${file} aside`, error);
  }
}

/** The first `<prefix>-N` that does not exist, N from 1 to 99. */
export async function freeName(prefix: string): Promise<string> {
  for (let n = 1; n < 99; n++) {
    try {
      await fs.lstat(`${prefix}-${n}`);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return `${prefix}-${n}`;
      throw error;
    }
  }
  return `${prefix}-99`;
}
