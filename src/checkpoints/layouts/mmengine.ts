import path from 'node:path';
import { numbered, someOf, mainsOf } from './drafts.js';
import { entryNamed, inStyleOf, unendedPast } from './latest.js';
import type { Layout, Look, UnitDraft } from './layout.js';

const pointer = 'last_checkpoint';

/**
 * mmengine: `epoch_N.pth` or `iter_N.pth`; `last_checkpoint` holds the path of the one to resume from, relative to the
 * program's working folder or absolute, and is written after it. `best_*.pth` has no optimizer: nothing to resume from.
 */
export const mmengine: Layout = {
  name: 'mmengine',
  title: 'mmengine',
  bearsDotName: true,
  resume: {
    args: ['--resume', '{path}'],
    advice: 'resume = True in the config, or --resume of tools/train.py',
  },
  matches: async (look) =>
    drafts(look).length > 0 &&
    (entryNamed(look, pointer) !== undefined ||
      (await someOf(mainsOf(drafts(look)), (entry) => look.mentions(entry, ['message_hub'])))),
  async units(look) {
    const all = drafts(look);
    const last = path.basename((await look.text(pointer)) ?? '');
    return unendedPast(all, entryNamed(look, pointer), all.find((draft) => draft.id === last)); // prettier-ignore
  },
  incomplete: () => undefined,
  async pointers(look, target) {
    const old = await look.text(pointer);
    return old === undefined ? [] : [{ name: pointer, text: await inStyleOf(old, look.dir, target.id) }];
  },
};

/** Where both are there, iterations order and epochs stand where their time puts them. */
function drafts(look: Look): UnitDraft[] {
  const iterations = numbered(look.entries, 'file', /^iter_(\d+)\.pth$/, true);
  const epochs = numbered(look.entries, 'file', /^epoch_(\d+)\.pth$/, false);
  if (iterations.length === 0) return epochs;
  return [...iterations, ...epochs.map(({ number: _epoch, ...draft }) => draft)];
}
