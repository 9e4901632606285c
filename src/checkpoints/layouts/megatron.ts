import path from 'node:path';
import type { Unit } from '../unit.js';
import { dcpUnended, firstOf, missingRank } from './completeness.js';
import { draftOf, numbered } from './drafts.js';
import { entryNamed, unendedPast } from './latest.js';
import type { Layout, Look, UnitDraft } from './layout.js';

const tracker = 'latest_checkpointed_iteration.txt';
const model = 'model_optim_rng.pt';

/**
 * Megatron-LM: `iter_0000100/` with a folder a rank, or `.distcp` shards. The tracker holds the iteration that is
 * loaded (or `release`), and is written when every rank has written. Folders of an earlier try are written over.
 */
export const megatron: Layout = {
  name: 'megatron',
  title: 'Megatron-LM',
  bearsDotName: true,
  marksEnd: true,
  resume: { args: ['--load', '{dir}'], advice: '--load with the same folder as --save' },
  matches: async (look) =>
    drafts(look).length > 0 &&
    (entryNamed(look, tracker) !== undefined || (await holdsRanks(look, drafts(look)))),
  async units(look) {
    const all = drafts(look);
    const text = await look.text(tracker);
    return unendedPast(all, entryNamed(look, tracker), all.find((draft) => trackerText(draft) === normal(text))); // prettier-ignore
  },
  incomplete: firstOf(
    emptyRank,
    missingRank(/\/mp_rank_(\d+)(?:_(\d+))?(?:_(\d+))?\/model_optim_rng\.pt$/),
    dcpUnended,
  ),
  // always there: without it training begins from random weights
  async pointers(look, target) {
    const old = await look.text(tracker);
    const text = trackerText(target);
    return [{ name: tracker, text: old !== undefined && normal(old) === text ? old : text }];
  },
};

function drafts(look: Look): UnitDraft[] {
  const release = entryNamed(look, 'release');
  return [
    ...(release?.kind === 'folder' ? [draftOf([release], 0, false)] : []),
    ...numbered(look.entries, 'folder', /^iter_(\d{7,})$/, true),
  ];
}

async function holdsRanks(look: Look, some: readonly UnitDraft[]): Promise<boolean> {
  for (const { members } of some.slice(-8))
    for (const entry of members)
      if ((await look.names(entry)).some((name) => /^mp_rank_\d|^common\.pt$/.test(name))) return true;
  return false;
}

const trackerText = (unit: Pick<Unit, 'id' | 'number'>): string =>
  unit.id === 'release' ? 'release' : String(unit.number ?? Number(/\d+/.exec(unit.id)?.[0]));

/** `0000100` and `100` are one. */
const normal = (text: string | undefined): string | undefined =>
  text !== undefined && /^\d+$/.test(text) ? String(Number(text)) : text;

function emptyRank(unit: Unit): string | undefined {
  const names = new Set(unit.files.map((file) => file.path));
  const ranks = unit.folders.filter((folder) => /^mp_rank_\d/.test(path.basename(folder)));
  const empty = ranks.find((folder) => !names.has(path.join(folder, model)));
  return empty === undefined ? undefined : `${path.join(empty, model)} is missing: its save did not end`;
}
