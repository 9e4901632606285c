import type { Stamp } from '../../util/os/dir-walk.js';
import { emptyFile, firstOf } from './completeness.js';
import { newestOf, numbered } from './drafts.js';
import type { Layout, Look } from './layout.js';
import { committedUnits, orbaxUnended } from './orbax.js';

const pattern = /^checkpoint_(\d+)$/;
/** flax has Orbax write the state itself into the folder; a CheckpointManager puts it one level below. */
const signs = ['manifest.ocdbt', '_METADATA', 'checkpoint'];

/**
 * flax.training.checkpoints: `checkpoint_N`, a folder by Orbax, or a file of msgpack in older versions and by
 * `flax_use_orbax_checkpointing=False`. Both are renamed in whole. A newer one left there makes the next save raise.
 */
export const flax: Layout = {
  name: 'flax',
  title: 'flax',
  bearsDotName: true,
  marksEnd: true,
  resume: { advice: 'state = checkpoints.restore_checkpoint(dir, state) before the loop' },
  async matches(look) {
    for (const entry of newestOf(entriesOf(look))) {
      if (entry.kind === 'file') {
        // msgpack has no magic: whatever has one is another framework's
        if ((await look.content(entry)) === 'foreign') return true;
      } else {
        for (const sign of signs) if (await look.has(entry, sign)) return true;
      }
    }
    return false;
  },
  units: async (look) => [
    ...numbered(look.entries, 'file', pattern, true),
    ...(await committedUnits(
      look,
      entriesOf(look).filter((entry) => entry.kind === 'folder'),
    )),
  ],
  // msgpack has no format that would tell
  incomplete: firstOf(emptyFile(/^checkpoint_\d+$/), orbaxUnended),
  pointers: () => Promise.resolve([]),
};

const entriesOf = (look: Look): Stamp[] =>
  look.entries.filter((entry) => entry.kind !== 'other' && pattern.test(entry.path));
