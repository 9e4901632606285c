import type { Stamp } from '../../util/os/dir-walk.js';
import { emptyFile, firstOf, temporaryName } from './completeness.js';
import { foldersIn, newestOf, numbered } from './drafts.js';
import type { Layout, Look, UnitDraft } from './layout.js';

const committed = 'commit_success.txt';
const signs = new Set(['_CHECKPOINT_METADATA', '_METADATA', committed, 'manifest.ocdbt', 'default']);
const isSigned = (names: readonly string[]): boolean => names.some((name) => signs.has(name));

/** The rename of the whole folder is what ends a save; a disk that was full or cut off leaves the rest. */
export const orbaxUnended = firstOf(
  temporaryName,
  emptyFile(/\/(?:_CHECKPOINT_METADATA|_METADATA|manifest\.ocdbt)$/),
);

/**
 * Orbax: `N/` or `prefix_N/`, renamed from `*.orbax-checkpoint-tmp` when it is whole. Newer versions, and all on object
 * stores, add `commit_success.txt`; where the others have it, one without it is not whole.
 */
export const orbax: Layout = {
  name: 'orbax',
  title: 'Orbax',
  bearsDotName: true,
  marksEnd: true,
  resume: { advice: 'manager.restore(manager.latest_step()) before the loop' },
  async matches(look) {
    for (const entry of newestOf(folders(look))) if (isSigned(await look.names(entry))) return true;
    return false;
  },
  units: (look) => committedUnits(look, folders(look)),
  incomplete: orbaxUnended,
  pointers: () => Promise.resolve([]),
};

const pattern = /^(?:.*_)?(\d+)$/;

const folders = (look: Look): Stamp[] => foldersIn(look).filter((entry) => pattern.test(entry.path));

/** Those of these folders that Orbax made, or that hold nothing yet. */
export async function committedUnits(look: Look, among: readonly Stamp[]): Promise<UnitDraft[]> {
  const own: { readonly entry: Stamp; readonly names: readonly string[] }[] = [];
  for (const entry of among) {
    const names = await look.names(entry);
    if (names.length === 0 || isSigned(names)) own.push({ entry, names });
  }
  const marked = own.some(({ names }) => names.includes(committed));
  return own.flatMap(({ entry, names }) =>
    numbered([entry], 'folder', /(\d+)$/, true).map((draft) =>
      marked && !names.includes(committed)
        ? {
            ...draft,
            unended: `${entry.path}/${committed} is missing, which the others have: its save did not end`,
          }
        : draft,
    ),
  );
}
