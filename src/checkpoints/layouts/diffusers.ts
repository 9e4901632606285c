import { holdsSavedState, savedState } from './accelerate.js';
import type { Layout, Look, UnitDraft } from './layout.js';
import { numbered } from './drafts.js';

/** Scripts in diffusers' way: accelerate's `save_state` into `checkpoint-N/`, without the Trainer's files. */
export const diffusers: Layout = {
  name: 'diffusers',
  title: 'diffusers-style scripts',
  // they take what begins with `checkpoint`
  bearsDotName: true,
  resume: {
    args: ['--resume_from_checkpoint', '{path}'],
    advice: 'accelerator.load_state(path) where --resume_from_checkpoint is given (or `latest`)',
  },
  matches: (look) => holdsSavedState(look, drafts(look)),
  units: (look) => Promise.resolve(drafts(look)),
  incomplete: savedState,
  pointers: () => Promise.resolve([]),
};

const drafts = (look: Look): UnitDraft[] => numbered(look.entries, 'folder', /^checkpoint-(\d+)$/, true);
