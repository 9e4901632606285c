import { fail, ok, exitStatus, type Result } from '../util/result.js';

/** What a worker may be called; the same over HTTP, in Python and on disk. */
export const workerIdPattern = '^[A-Za-z0-9_][A-Za-z0-9._:@-]{0,127}$';
const valid = new RegExp(workerIdPattern);

/** @returns exit 64 with one clear sentence where it cannot name a worker */
export function checkWorkerId(id: unknown): Result<string> {
  if (typeof id === 'string' && valid.test(id)) return ok(id);
  const shown = typeof id === 'string' ? JSON.stringify(id.slice(0, 40)) : typeof id;
  return fail(
    `a worker's id is 1 to 128 letters, digits or . _ : @ - and begins with a letter, a digit or _, not ${shown}`,
    exitStatus.usage,
  );
}
