import { missing } from './completeness.js';
import type { Layout, Look, UnitDraft } from './layout.js';

const folderName = /^checkpoint-(\d+)$/;

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
  stepIn: { file: 'trainer_state.json', key: 'global_step' },
  async matches(look) {
    for (const { members } of draft(look)) {
      for (const entry of members) for (const sign of signs) if (await look.has(entry, sign)) return true;
    }
    return false;
  },
  units: (look) => Promise.resolve(draft(look)),
  incomplete: missing('trainer_state.json'),
  pointers: () => Promise.resolve([]),
  resume: {
    args: ['--resume_from_checkpoint', '{path}'],
    advice: 'trainer.train(resume_from_checkpoint=True), or pass the flag on to it',
  },
};

function draft(look: Look): UnitDraft[] {
  return look.entries.flatMap((entry) => {
    const number = folderName.exec(entry.path)?.[1];
    if (entry.kind !== 'folder' || number === undefined) return [];
    return [
      {
        id: entry.path,
        members: [entry],
        number: Number(number),
        mayBeStep: true,
        expected: new Map<string, string>(),
      },
    ];
  });
}
