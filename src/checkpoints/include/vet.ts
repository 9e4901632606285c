import path from 'node:path';
import { overlap } from '../../util/os/lock-nested.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import { isGlob } from '../many/glob.js';

/** Whether a path is a place, holds it, or lies in it. */
export const touches = (one: string, place: string): boolean => overlap(one, place);

/** Whether a path is a place, or holds it. */
export const holds = (one: string, place: string): boolean => {
  const way = path.relative(one, place);
  return way === '' || (way !== '..' && !way.startsWith(`..${path.sep}`) && !path.isAbsolute(way));
};

/** What must not be copied as a whole, nor cleared. Absolute. */
export interface Places {
  readonly checkpoints: readonly string[];
  readonly vaults: readonly string[];
  readonly stateDir: string;
  readonly cwd: string;
}

/**
 * Whether what `checkpoints.include` and `checkpoints.clean` name may be copied and cleared. A glob's matches are looked
 * at again when it is expanded. Pure.
 */
export function vetAside(
  named: { readonly include: readonly string[]; readonly clean: readonly string[] },
  places: Places,
): Result<void> {
  for (const key of ['include', 'clean'] as const) {
    for (const one of named[key]) {
      const what = whyNot(one, places);
      if (what !== undefined)
        return fail(`checkpoints.${key} names ${one}, which is or holds ${what}; name what is meant below it`, exitStatus.config); // prettier-ignore
    }
    const glob = key === 'include' && named.include.find(isGlob);
    if (glob)
      return fail(
        `checkpoints.include names ${glob}; it takes files and folders, not globs`,
        exitStatus.config,
      );
  }
  return ok(undefined);
}

function whyNot(one: string, { checkpoints, vaults, stateDir, cwd }: Places): string | undefined {
  if (one === path.parse(one).root) return 'the root of the file system';
  const holding = (list: readonly string[]): string | undefined => list.find((place) => holds(one, place));
  const checkpoint = holding(checkpoints);
  if (checkpoint !== undefined) return `the checkpoint folder ${checkpoint}`;
  const vault = holding(vaults) ?? vaults.find((place) => holds(place, one));
  if (vault !== undefined) return `the vault ${vault}, or lies in it`;
  if (holds(one, stateDir) || holds(stateDir, one)) return `the state folder ${stateDir}, or lies in it`;
  return holds(one, cwd) ? `the working directory ${cwd}` : undefined;
}
