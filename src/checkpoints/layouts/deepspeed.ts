import type { Stamp } from '../../util/os/dir-walk.js';
import { firstOf, missingAny, missingRank } from './completeness.js';
import { foldersIn, named, newestOf } from './drafts.js';
import { entryNamed, unendedPast } from './latest.js';
import type { Layout, Look, Pointer } from './layout.js';
import { parseName } from './names.js';

const shard = /_states\.pt$/;
const isTag = async (look: Look, entry: Stamp): Promise<boolean> =>
  (await look.names(entry)).some((name) => shard.test(name));

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
  async matches(look) {
    for (const entry of newestOf(foldersIn(look))) if (await isTag(look, entry)) return true;
    return false;
  },
  async units(look) {
    const tags: Stamp[] = [];
    const others: Stamp[] = [];
    for (const entry of foldersIn(look)) ((await isTag(look, entry)) ? tags : others).push(entry);
    const templates = new Set(tags.map((entry) => parseName(entry.path).template));
    // a tag whose folder was made and nothing more
    for (const entry of others)
      if (templates.has(parseName(entry.path).template) && (await look.names(entry)).length === 0)
        tags.push(entry);
    const drafts = named(tags);
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
