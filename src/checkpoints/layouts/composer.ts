import path from 'node:path';
import type { Stamp } from '../../util/os/dir-walk.js';
import { dcpUnended, firstOf, missingRank } from './completeness.js';
import { draftOf } from './drafts.js';
import { inStyleOf, unendedPast } from './latest.js';
import type { Layout, Look, Pointer, UnitDraft } from './layout.js';

/** `ep0-ba100-rank0.pt`, or `ep0-ba100/` where the ranks write shards of one. */
const pattern = /^ep(\d+)-ba(\d+)(?:-rank(\d+)\.pt)?$/;

/**
 * Composer: `epE-baB-rankR.pt`, the ranks of a batch being one checkpoint; autoresume follows `latest-rankR.pt`, links
 * that are turned after each save. It raises where the next name exists.
 */
export const composer: Layout = {
  name: 'composer',
  title: 'Composer',
  bearsDotName: true,
  resume: {
    advice:
      'Trainer(autoresume=True, run_name=…, save_folder=…), or load_path with the checkpoint, {rank} in place of its rank',
  },
  matches: (look) => Promise.resolve(drafts(look).length > 0),
  async units(look) {
    const all = drafts(look);
    let behind: { readonly link: Stamp; readonly current: UnitDraft } | undefined;
    for (const link of links(look)) {
      const leads = path.basename((await look.linkTarget(link.path)) ?? '');
      const current = all.find((draft) => draft.members.some((member) => member.path === leads));
      // each rank turns its own: the save ended when all have
      if (current && (current.number ?? 0) < (behind?.current.number ?? Infinity)) behind = { link, current };
    }
    return unendedPast(all, behind?.link, behind?.current);
  },
  incomplete: firstOf(missingRank(/-rank(\d+)\.pt$/), dcpUnended),
  async pointers(look, target) {
    const pointers: Pointer[] = [];
    for (const entry of links(look)) {
      const leads = await look.linkTarget(entry.path);
      const rank = /rank(\d+)/.exec(entry.path)?.[1];
      const member = target.members.find(({ path: name }) => rank !== undefined && name.endsWith(`-rank${rank}.pt`)); // prettier-ignore
      const to = member?.path ?? (target.members.length === 1 ? target.id : undefined);
      if (leads !== undefined && to !== undefined)
        pointers.push({ name: entry.path, link: await inStyleOf(leads, look.dir, to) });
    }
    return pointers;
  },
};

const links = (look: Look): Stamp[] =>
  look.entries.filter((entry) => entry.kind === 'other' && /^latest-rank\d+(?:\.pt)?$/.test(entry.path));

/** Batches go on counting over epochs. */
function drafts(look: Look): UnitDraft[] {
  const batches = new Map<string, [Stamp, ...Stamp[]]>();
  for (const entry of look.entries) {
    const [, , batch, rank] = pattern.exec(entry.path) ?? [];
    if (batch === undefined || entry.kind !== (rank === undefined ? 'folder' : 'file')) continue;
    const key = entry.path.replace(/-rank\d+\.pt$/, ' ranks');
    const others = batches.get(key);
    batches.set(key, others ? [...others, entry] : [entry]);
  }
  return [...batches.values()].map((members) => draftOf(byRank(members), Number(pattern.exec(members[0].path)?.[2]), true)); // prettier-ignore
}

const rankOf = (entry: Stamp): number => Number(pattern.exec(entry.path)?.[3] ?? 0);

function byRank(members: [Stamp, ...Stamp[]]): [Stamp, ...Stamp[]] {
  return members.sort((a, b) => rankOf(a) - rankOf(b));
}
