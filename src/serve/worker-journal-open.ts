import path from 'node:path';
import { Journal, readJournal } from '../runs/journal.js';
import type { JournalContent } from '../runs/journal-content.js';
import { damaged, refused } from '../runs/problems.js';
import { freeName } from '../runs/versioned-file.js';
import { writeFileAtomic } from '../util/os/durable.js';
import { ok, type Result } from '../util/result.js';
import { durableMark, type Step, type WorkerImage } from './worker-journal-image.js';
import { readSnapshot } from './worker-journal-snapshot.js';

/** The files of a worker journal. */
export interface JournalFiles {
  readonly journal: string;
  /** The journal before, until `state` holds what it says. */
  readonly old: string;
  readonly state: string;
}

export const filesIn = (dir: string): JournalFiles => ({
  journal: path.join(dir, 'journal.jsonl'),
  old: path.join(dir, 'journal.old.jsonl'),
  state: path.join(dir, 'state.json'),
});

export const wayOut =
  'move state.json and the journal files away: workers register again by themselves, and their checkpoints are found';

/** A power cut may spoil heartbeats that were not synced yet, in any order. */
export const reading = { wayOut, durableMark } as const;

export interface Opened {
  readonly image: WorkerImage;
  readonly journal: Journal<Step[]>;
  /** A compaction was cut off: `old` is still there. */
  readonly unfinished: boolean;
  /** Where torn ends are kept. */
  readonly torn: readonly string[];
}

/**
 * Reads `state.json`, then what the journals say beyond it. Entries are numbered through all files, so that one that is
 * missing or too short is noticed. A torn end is cut off and kept aside.
 * @returns damage is a Problem (exit 125), and nothing is changed then
 */
export async function openFiles(names: JournalFiles): Promise<Result<Opened>> {
  const state = await readSnapshot(names.state, wayOut);
  if (!state.ok) return state;
  const { image, seq } = state.value;
  const old = await readJournal<Step[]>(names.old, reading);
  if (!old.ok) return old;
  const present = await readJournal<Step[]>(names.journal, reading);
  if (!present.ok) return present;
  const gap = gapIn(names, seq, old.value, present.value);
  if (gap) return gap;
  for (const { entries, last } of [old.value, present.value])
    // what the snapshot holds is not said again
    for (const steps of entries.slice(Math.max(0, seq - (last - entries.length)))) image.apply(steps);
  const torn: string[] = [];
  try {
    if (old.value.torn.length > 0) {
      const kept = await freeName(names.old.replace(/\.jsonl$/, '.torn'));
      await writeFileAtomic(kept, old.value.torn);
      torn.push(kept);
    }
  } catch (error) {
    return refused(`keep the end of ${names.old}`, error);
  }
  const opened = await Journal.open<Step[]>(names.journal, {
    ...reading,
    after: Math.max(seq, old.value.last),
  });
  if (!opened.ok) return opened;
  if (opened.value.torn !== undefined) torn.push(opened.value.torn);
  const unfinished = old.value.size > 0 || old.value.torn.length > 0;
  return ok({ image, journal: opened.value.journal, unfinished, torn });
}

/** Whether entries are missing between the snapshot, the old journal and the present one. */
function gapIn(
  names: JournalFiles,
  seq: number,
  old: JournalContent<Step[]>,
  present: JournalContent<Step[]>,
): ReturnType<typeof damaged> | undefined {
  const firstOf = ({ last, entries }: JournalContent<Step[]>): number => last - entries.length + 1;
  const missing = (file: string, from: number, to: number): ReturnType<typeof damaged> =>
    damaged(`the journal ${file}`, `entries ${from} to ${to} are missing`, wayOut);
  if (old.entries.length > 0 && firstOf(old) > seq + 1) return missing(names.old, seq + 1, firstOf(old) - 1);
  if (present.entries.length === 0) return undefined;
  const before = Math.max(seq, old.last);
  if (firstOf(present) > before + 1) return missing(names.journal, before + 1, firstOf(present) - 1);
  // the snapshot is only written when the journal is on the disk as far as it goes
  return present.last < seq ? missing(names.journal, present.last + 1, seq) : undefined;
}
