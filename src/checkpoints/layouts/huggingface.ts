import { missing } from './completeness.js';
import { mainsOf, numbered, someOf } from './drafts.js';
import type { Layout, Look, UnitDraft } from './layout.js';

/** Written by the Trainer and by nothing else that names its folders `checkpoint-N` (diffusers, accelerate scripts). */
const signs = ['trainer_state.json', 'training_args.bin'];

/**
 * Hugging Face Trainer: `checkpoint-N/`. There is no marker; model and optimizer are written before
 * `trainer_state.json`, so a folder without it was cut off.
 */
export const huggingface: Layout = {
  name: 'huggingface',
  title: 'Hugging Face Trainer',
  // it globs `checkpoint-*`
  bearsDotName: true,
  marksEnd: true,
  resume: {
    args: ['--resume_from_checkpoint', '{path}'],
    advice: 'trainer.train(resume_from_checkpoint=True), or pass the flag on to it',
  },
  stepIn: { file: 'trainer_state.json', key: 'global_step' },
  matches: (look) =>
    someOf(mainsOf(drafts(look)), async (entry) => {
      for (const sign of signs) if (await look.has(entry, sign)) return true;
      return false;
    }),
  units: (look) => Promise.resolve(drafts(look)),
  incomplete: missing('trainer_state.json'),
  pointers: () => Promise.resolve([]),
};

const drafts = (look: Look): UnitDraft[] => numbered(look.entries, 'folder', /^checkpoint-(\d+)$/, true);
