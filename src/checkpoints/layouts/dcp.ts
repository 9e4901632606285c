import { dcpUnended, missing, firstOf } from './completeness.js';
import { foldersHolding, named, someHolds } from './drafts.js';
import type { Layout } from './layout.js';

const isPart = (name: string): boolean => name === '.metadata' || name.endsWith('.distcp');

/**
 * torch.distributed.checkpoint, torchtitan: `step-N/` with a `.distcp` file a rank; `.metadata` is renamed in at the
 * end, and torchtitan takes the highest step that has it.
 */
export const dcp: Layout = {
  name: 'dcp',
  title: 'torch.distributed.checkpoint',
  bearsDotName: true,
  marksEnd: true,
  resume: {
    advice:
      'dcp.load(state, checkpoint_id=the newest step folder that has .metadata) before the loop; torchtitan does so itself where checkpoints are enabled',
  },
  matches: (look) => someHolds(look, isPart),
  units: async (look) => named(await foldersHolding(look, isPart)),
  incomplete: firstOf(missing('.metadata'), dcpUnended),
  pointers: () => Promise.resolve([]),
};
