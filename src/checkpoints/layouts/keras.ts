import { draftOf } from './drafts.js';
import { entryNamed } from './latest.js';
import type { Layout, Look, UnitDraft } from './layout.js';

const weights = 'latest.weights.h5';
const metadata = 'training_metadata.json';
/** With `double_checkpoint` the pair before is kept, under these names of Keras' versions. */
const older: readonly ((name: string) => string)[] = [(name) => `${name}.bkp`, (name) => `_${name}`];

/**
 * Keras BackupAndRestore: the weights, then the metadata, written in place at every epoch; the folder is removed when
 * `fit` succeeds. Without the weights it trains from scratch, though the pair before lies beside.
 */
export const keras: Layout = {
  name: 'keras',
  title: 'Keras BackupAndRestore',
  bearsDotName: false,
  resume: {
    advice: 'callbacks=[keras.callbacks.BackupAndRestore(dir)] in model.fit(), which then resumes by itself',
  },
  matches: (look) =>
    // weights alone may be somebody's own ModelCheckpoint
    Promise.resolve(pairs(look).some((pair) => pair.members.length === 2)),
  units: (look) => Promise.resolve(pairs(look)),
  incomplete(unit) {
    const [h5, json] = unit.members;
    if (!json) return `${metadata} is missing beside ${unit.id}: its save did not end`;
    // the epoch in it is that of the save before
    if (h5 && json.mtimeMs < h5.mtimeMs) return `${json.path} is older than ${h5.path}: its save did not end`;
    return undefined;
  },
  // the names that fit() reads
  pointers: (_look, target) =>
    Promise.resolve(
      target.id === weights
        ? []
        : [weights, metadata].flatMap((name, at) => {
            const copyOf = target.members[at]?.path;
            return copyOf === undefined ? [] : [{ name, copyOf }];
          }),
    ),
};

function pairs(look: Look): UnitDraft[] {
  return [(name: string): string => name, ...older].flatMap((name) => {
    const [h5, json] = [entryNamed(look, name(weights)), entryNamed(look, name(metadata))];
    if (h5?.kind !== 'file') return [];
    const draft = draftOf(json?.kind === 'file' ? [h5, json] : [h5], undefined, false);
    return [{ ...draft, inPlace: true, expected: new Map([[h5.path, 'hdf5']]) }];
  });
}
