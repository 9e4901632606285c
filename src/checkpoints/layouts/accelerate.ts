import { firstOf, missing, missingRank } from './completeness.js';
import { mainsOf, numbered, someOf } from './drafts.js';
import type { Layout, Look, UnitDraft } from './layout.js';

/** Each rank's, after model and optimizer: `save_state` writes it in every case. */
const randomStates = 'random_states_0.pkl';

/** What `save_state` leaves: the random states of every rank come after the weights. */
export const savedState = firstOf(missing(randomStates), missingRank(/\/random_states_(\d+)\.pkl$/));

export const holdsSavedState = (look: Look, drafts: readonly UnitDraft[]): Promise<boolean> =>
  someOf(mainsOf(drafts), (entry) => look.has(entry, randomStates));

/**
 * accelerate's automatic naming: `checkpoints/checkpoint_i/`. It takes the number of every name in the folder, also of
 * hidden ones, and raises on one without; it raises too where the next name exists.
 */
export const accelerate: Layout = {
  name: 'accelerate',
  title: 'accelerate',
  bearsDotName: false,
  resume: {
    advice:
      'accelerator.load_state() before the loop, and accelerator.project_configuration.iteration = the number of the checkpoint + 1, else the next save_state raises',
  },
  matches: (look) => holdsSavedState(look, drafts(look)),
  units: (look) => Promise.resolve(drafts(look)),
  incomplete: savedState,
  pointers: () => Promise.resolve([]),
};

/** i counts saves, not steps. */
const drafts = (look: Look): UnitDraft[] => numbered(look.entries, 'folder', /^checkpoint_(\d+)$/, false);
