import { draftOf, numbered } from './drafts.js';
import { entryNamed } from './latest.js';
import type { Layout, UnitDraft } from './layout.js';

/** Ultralytics (YOLO): `last.pt` and `best.pt`, both written over; `epochN.pt` only where a save period is set. */
export const ultralytics: Layout = {
  name: 'ultralytics',
  title: 'Ultralytics',
  bearsDotName: true,
  resume: {
    args: ['resume=True', 'model={path}'],
    advice: 'resume=True with model=…/weights/last.pt, or YOLO("…/last.pt").train(resume=True)',
  },
  async matches(look) {
    const last = entryNamed(look, 'last.pt');
    if (last?.kind !== 'file' || (await look.content(last)) === 'foreign') return false;
    return entryNamed(look, 'best.pt') !== undefined || look.mentions(last, ['best_fitness', 'train_args']);
  },
  units(look) {
    const epochs = numbered(look.entries, 'file', /^epoch(\d+)\.pt$/, false);
    const lone = ['best.pt', 'last.pt'].flatMap((name): UnitDraft[] => {
      const entry = entryNamed(look, name);
      if (entry?.kind !== 'file') return [];
      const draft: UnitDraft = { ...draftOf([entry], undefined, false), inPlace: true };
      // the bytes of some `last.pt`, so never ahead of it, though it is written after it
      return [name === 'best.pt' ? { ...draft, chosen: true } : draft];
    });
    return Promise.resolve([...epochs, ...lone]);
  },
  incomplete: () => undefined,
  // the name that resume=True reads
  pointers: (look, target, moved) =>
    Promise.resolve(
      target.id !== 'last.pt' && (moved.has('last.pt') || entryNamed(look, 'last.pt') === undefined)
        ? [{ name: 'last.pt', copyOf: target.id }]
        : [],
    ),
};
