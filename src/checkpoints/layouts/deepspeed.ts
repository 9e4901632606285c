import { firstOf, missingAny, missingRank } from './completeness.js';
import { foldersHolding, named, someHolds } from './drafts.js';
import { entryNamed, unendedPast } from './latest.js';
import type { Layout, Pointer } from './layout.js';

const isShard = (name: string): boolean => name.endsWith('_states.pt');

/**
 * DeepSpeed: `<tag>/` with each rank's `*model_states.pt` and `*optim_states.pt`. `latest` names the tag that
 * `load_checkpoint` takes, and is written when every rank has written.
 */
export const deepspeed: Layout = {
  name: 'deepspeed',
  title: 'DeepSpeed',
  bearsDotName: true,
  marksEnd: true,
  resume: {
    advice: 'engine.load_checkpoint(dir) before the loop: without a tag it takes the one that `latest` names',
  },
  matches: (look) => someHolds(look, isShard),
  async units(look) {
    const drafts = named(await foldersHolding(look, isShard));
    const latest = await look.text('latest');
    return unendedPast(drafts, entryNamed(look, 'latest'), drafts.find((draft) => draft.id === latest)); // prettier-ignore
  },
  incomplete: firstOf(
    missingAny(/model_states\.pt$/, 'every *model_states.pt'),
    missingRank(/rank_(\d+)(?:_mp_rank_(\d+))?[^/]*_states\.pt$/),
  ),
  async pointers(look, target) {
    const pointers: Pointer[] = [];
    for (const name of ['latest', 'latest_universal']) {
      const tag = await look.text(name);
      if (tag !== undefined && (name === 'latest' || isOfUniversal(tag) === isOfUniversal(target.id)))
        pointers.push({ name, text: target.id });
    }
    return pointers;
  },
};

/** What `ds_to_universal` made of a tag: another kind of checkpoint, with a pointer of its own. */
const isOfUniversal = (tag: string): boolean => tag.endsWith('_universal');
