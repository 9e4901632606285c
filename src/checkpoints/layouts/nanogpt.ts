import { draftOf } from './drafts.js';
import { entryNamed } from './latest.js';
import type { Layout } from './layout.js';

const name = 'ckpt.pt';

/** nanoGPT: `ckpt.pt`, written over at every evaluation, told from other scripts' by the keys in it. */
export const nanogpt: Layout = {
  name: 'nanogpt',
  title: 'nanoGPT',
  bearsDotName: true,
  resume: { args: ['--init_from=resume'], advice: '--init_from=resume with the same --out_dir' },
  async matches(look) {
    const entry = entryNamed(look, name);
    return (
      entry?.kind === 'file' && (await look.mentions(entry, ['model_args', 'iter_num', 'best_val_loss']))
    );
  },
  units(look) {
    const entry = entryNamed(look, name);
    const isThere = entry?.kind === 'file';
    return Promise.resolve(isThere ? [{ ...draftOf([entry], undefined, false), inPlace: true }] : []);
  },
  incomplete: () => undefined,
  pointers: () => Promise.resolve([]),
};
