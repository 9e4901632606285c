import { readdirSync } from 'node:fs';
import path from 'node:path';
import { errorCode, writeFileAtomic } from '../util/os/durable.js';
import { ok, type Result } from '../util/result.js';
import { damaged, refused } from './problems.js';
import { readVersioned, writeVersioned } from './versioned-file.js';

/** Of so many damaged ones none is asked for more. */
const mostDamaged = 5;

/** `001.json` and `001.md` in a run's folder of incidents. */
export const incidentFile = (dir: string, number: number, type: 'json' | 'md'): string =>
  path.join(dir, `${String(number).padStart(3, '0')}.${type}`);

/** Writes one incident, 0600: as data, and as a person reads it. What was there is replaced as a whole. */
export async function writeIncident(
  dir: string,
  incident: { readonly number: number },
  text: string,
): Promise<Result<void>> {
  const written = await writeVersioned(incidentFile(dir, incident.number, 'json'), incident);
  if (!written.ok) return written;
  const file = incidentFile(dir, incident.number, 'md');
  try {
    await writeFileAtomic(file, text);
    return ok(undefined);
  } catch (error) {
    return refused(`write ${file}`, error);
  }
}

/** The numbers of a run's incidents, rising; no folder: none. */
export function incidentNumbers(dir: string): Result<readonly number[]> {
  try {
    const numbers = readdirSync(dir).flatMap((name) => {
      const [, digits] = /^(\d{3,9})\.json$/.exec(name) ?? [];
      return digits === undefined ? [] : [Number(digits)];
    });
    return ok(numbers.sort((a, b) => a - b));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return ok([]);
    return refused(`read ${dir}`, error);
  }
}

/** What tells an incident from what somebody else wrote there. */
type IsIncident<T extends object> = (value: object) => value is T;

const wayOut = 'the run goes on without it; move it away';

/** Reads an incident; undefined: there is none of that number. Its file's name says which number it is. */
export async function readIncident<T extends object>(
  dir: string,
  number: number,
  isOne: IsIncident<T>,
): Promise<Result<T | undefined>> {
  const file = incidentFile(dir, number, 'json');
  const read = await readVersioned(file, wayOut);
  if (!read.ok || !read.value) return read.ok ? ok(undefined) : read;
  const value = { ...read.value, number };
  return isOne(value) ? ok(value) : damaged(file, 'it is no incident', wayOut);
}

/** The newest incident that can be read, with the path of its text; undefined: there is none. */
export async function newestIncident<T extends object>(
  dir: string,
  isOne: IsIncident<T>,
): Promise<(T & { readonly file: string }) | undefined> {
  const numbers = incidentNumbers(dir);
  if (!numbers.ok) return undefined;
  for (const number of numbers.value.slice(-mostDamaged).reverse()) {
    const read = await readIncident(dir, number, isOne);
    if (read.ok && read.value) return { ...read.value, file: incidentFile(dir, number, 'md') };
  }
  return undefined;
}
