import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode } from '../../util/os/durable.js';

const wild = /[*?[]/;
const byNumber = new Intl.Collator('en', { numeric: true });

/** Whether a path holds `*`, `?` or `[…]`. A folder of that very name may be there all the same. */
export const isGlob = (pattern: string): boolean => wild.test(pattern);

/** The folder that a glob begins in: `/a/logs` of `/a/logs/version_*`. A plain path is its own. */
export function baseOf(pattern: string): string {
  const parts = pattern.split(path.sep);
  const first = parts.findIndex(isGlob);
  return first < 0 ? pattern : parts.slice(0, first).join(path.sep) || path.sep;
}

/**
 * What a glob matches now, folders alone unless asked for all: `version_2` before `version_10`. Hidden names are matched by a leading dot only,
 * and no `**` is known: a checkpoint folder's depth is. What cannot be listed matches nothing.
 * @param pattern absolute
 */
export async function matching(pattern: string, foldersOnly = true): Promise<string[]> {
  let found = [baseOf(pattern)];
  const rest = path.relative(baseOf(pattern), pattern).split(path.sep);
  for (const segment of rest) {
    const next: string[] = [];
    for (const dir of found) next.push(...(await below(dir, segment)));
    found = next;
  }
  const there: string[] = [];
  for (const one of found) if (await isThere(one, foldersOnly)) there.push(one);
  return there.sort(byNumber.compare);
}

async function below(dir: string, segment: string): Promise<string[]> {
  if (!isGlob(segment)) return [path.join(dir, segment)];
  const pattern = regExpOf(segment);
  try {
    const names = await fs.readdir(dir);
    return names.filter((name) => pattern.test(name)).map((name) => path.join(dir, name));
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return [];
  }
}

/** One segment of a glob. Pure. */
export function regExpOf(segment: string): RegExp {
  const source = segment.replace(
    /\[([!^]?)([^\]]+)\]|[*?]|[.+^${}()|\\[\]]/g,
    (token, not: string | undefined, set: string | undefined) => {
      if (set !== undefined) return `[${not === '' ? '' : '^'}${set.replace(/[\\^[]/g, '\\$&')}]`;
      return token === '*' ? '.*' : token === '?' ? '.' : `\\${token}`;
    },
  );
  const hidden = segment.startsWith('.') ? '' : '(?!\\.)';
  try {
    return new RegExp(`^${hidden}${source}$`, 'us');
  } catch {
    // a range such as [z-a]: it matches what bears that very name
    return new RegExp(`^${segment.replace(/[*?.+^${}()|\\[\]]/g, '\\$&')}$`, 'us');
  }
}

async function isThere(name: string, asFolder: boolean): Promise<boolean> {
  try {
    return asFolder ? (await fs.stat(name)).isDirectory() : (await fs.lstat(name)).size >= 0;
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return false;
  }
}
