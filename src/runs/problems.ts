import { errorCode, errorText } from '../util/os/durable.js';
import { exitStatus, fail, type Problem, type Result } from '../util/result.js';

type Failed = Extract<Result<never>, { ok: false }>;

/**
 * What the file system refused, as a Problem (exit 78): the path and the way out. Anything that is no system error is
 * a bug and is thrown on.
 * @param what as in `cannot ${what}`
 */
export function refused(what: string, error: unknown): Failed {
  const code = errorCode(error);
  if (code === undefined || code.startsWith('ERR_')) throw error;
  return fail(`cannot ${what}: ${errorText(error)}; ${wayOut(code)}`, exitStatus.config, code);
}

/** A file of ours whose content is not what we wrote (exit 125). */
export const damaged = (what: string, why: string, wayOutText: string): Failed =>
  fail(`${what} is damaged: ${why}; nothing was changed, ${wayOutText}`, exitStatus.internal);

/** Whether a Problem is that of {@link damaged}. */
export const isDamage = (problem: Problem): boolean =>
  problem.exit === exitStatus.internal && problem.code === undefined;

/** A file that a later version wrote (exit 78). */
export const tooNew = (what: string, version: number, known: number): Failed =>
  fail(
    `${what} was written by a newer trainguard (schemaVersion ${version}, this one knows ${known}); use that version`,
    exitStatus.config,
  );

function wayOut(code: string): string {
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'free some space, or choose another --state-dir';
    case 'ENOENT':
      return 'its folder was moved or deleted, or is none to write in: choose another --state-dir';
    case 'ENOTDIR':
    case 'EEXIST':
      return 'something else stands where a folder is needed: move it away, or choose another --state-dir';
    case 'EMFILE':
    case 'ENFILE':
      return 'raise the limit of open files (ulimit -n)';
    default:
      return 'make the state folder readable and writable, or choose another --state-dir';
  }
}
