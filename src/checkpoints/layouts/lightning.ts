import type { Stamp } from '../../util/os/dir-walk.js';
import { dcpUnended } from './completeness.js';
import { draftOf, someOf } from './drafts.js';
import { inStyleOf } from './latest.js';
import { isChosen } from './names.js';
import type { Layout, Pointer, UnitDraft } from './layout.js';

const isCheckpoint = (entry: Stamp): boolean => entry.path.endsWith('.ckpt') && entry.kind !== 'other';
const isNamedByDefault = (name: string): boolean => /^epoch=\d+(?:-step=\d+)?(?:-v\d+)?\.ckpt$/.test(name);
/** As Lightning takes them for `ckpt_path="last"`: whatever begins so. */
const isLast = (name: string): boolean => /^last.*\.ckpt$/.test(name);

/**
 * Lightning's ModelCheckpoint: `epoch=E-step=S.ckpt` and `last.ckpt`, which is a symbolic link or a full checkpoint of
 * its own, replaced at every save. Where TMPDIR is another file system, files are copied to their names and can be torn.
 */
export const lightning: Layout = {
  name: 'lightning',
  title: 'Lightning',
  bearsDotName: true,
  resume: {
    args: ['--ckpt_path', '{path}'],
    advice: 'trainer.fit(model, ckpt_path="last"), or pass the flag on to it',
  },
  matches: (look) =>
    someOf(look.entries.filter(isCheckpoint), async (entry) => {
      if (isNamedByDefault(entry.path)) return (await look.content(entry)) !== 'foreign';
      return entry.kind === 'file' && look.mentions(entry, ['pytorch-lightning_version']);
    }),
  units: (look) => Promise.resolve(drafts(look.entries.filter(isCheckpoint))),
  incomplete: dcpUnended,
  async pointers(look, target, moved) {
    const pointers: Pointer[] = [];
    for (const { kind, path: name } of look.entries) {
      const leads = kind === 'other' && isLast(name) ? await look.linkTarget(name) : undefined;
      if (leads !== undefined) pointers.push({ name, link: await inStyleOf(leads, look.dir, target.id) });
    }
    // Lightning takes the newest of those that are left, and trains from scratch where there is none
    if (isLast(target.id)) return pointers;
    const files = look.entries.filter((entry) => isCheckpoint(entry) && isLast(entry.path));
    const leaving = files.filter((entry) => moved.has(entry.path));
    const one = (leaving.length > 0 ? leaving : files).sort((a, b) => b.mtimeMs - a.mtimeMs)[0];
    if (!one) return pointers;
    // a strategy that saves folders: only a link leads to all of one
    const isFolder = target.members[0]?.kind === 'folder';
    return [
      ...pointers,
      isFolder ? { name: one.path, link: target.id } : { name: one.path, copyOf: target.id },
    ];
  },
};

/** Steps order where every name has one, else epochs, else time alone, as Lightning itself has it. */
function drafts(entries: readonly Stamp[]): UnitDraft[] {
  const rotating = entries.filter((entry) => !isLast(entry.path) && !isChosen(entry.path));
  const [word] = ['step', 'epoch'].filter((one) => rotating.every((entry) => numberIn(entry.path, one) !== undefined)); // prettier-ignore
  return entries.map((entry): UnitDraft => {
    const ordered = word !== undefined && rotating.includes(entry);
    const draft = draftOf([entry], ordered ? numberIn(entry.path, word) : undefined, word === 'step');
    if (isLast(entry.path)) return { ...draft, inPlace: true };
    return isChosen(entry.path) ? { ...draft, inPlace: !/\d/.test(entry.path), chosen: true } : draft;
  });
}

function numberIn(name: string, word: string): number | undefined {
  const digits = new RegExp(`(?:^|[-_.])${word}[=_-]?(\\d+)(?![.\\d]*\\d)`).exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}
