import type { Stamp } from '../../util/os/dir-walk.js';
import { dcpUnended, missing, firstOf } from './completeness.js';
import { foldersIn, named, newestOf } from './drafts.js';
import type { Layout, Look } from './layout.js';
import { parseName } from './names.js';

const isPart = (name: string): boolean => name === '.metadata' || name.endsWith('.distcp');
const holdsParts = async (look: Look, entry: Stamp): Promise<boolean> =>
  (await look.names(entry)).some(isPart);

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
  async matches(look) {
    for (const entry of newestOf(foldersIn(look))) if (await holdsParts(look, entry)) return true;
    return false;
  },
  async units(look) {
    const own: Stamp[] = [];
    const empty: Stamp[] = [];
    for (const entry of foldersIn(look)) {
      if (await holdsParts(look, entry)) own.push(entry);
      else if ((await look.names(entry)).length === 0) empty.push(entry);
    }
    const templates = new Set(own.map((entry) => parseName(entry.path).template));
    return named([...own, ...empty.filter((entry) => templates.has(parseName(entry.path).template))]);
  },
  incomplete: firstOf(missing('.metadata'), dcpUnended),
  pointers: () => Promise.resolve([]),
};
