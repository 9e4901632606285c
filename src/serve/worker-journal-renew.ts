import { existsSync } from 'node:fs';
import path from 'node:path';
import { isDamage } from '../runs/problems.js';
import { setAside } from '../runs/versioned-file.js';
import type { Result } from '../util/result.js';
import { filesIn } from './worker-journal-open.js';
import { openWorkerJournal, type WorkerJournal, type WorkerJournalOptions } from './worker-journal.js';

/**
 * Opens a worker journal. One that is damaged is moved aside and begun anew, which is told: for who has more to lose by not
 * starting than by what it holds.
 * @returns what {@link openWorkerJournal} does, but for damage
 */
export async function openOrRenewWorkerJournal(
  dir: string,
  options: WorkerJournalOptions,
): Promise<Result<WorkerJournal>> {
  const opened = await openWorkerJournal(dir, options);
  if (opened.ok || !isDamage(opened.error)) return opened;
  const kept: string[] = [];
  for (const file of Object.values(filesIn(dir)) as string[]) {
    if (!existsSync(file)) continue;
    const moved = await setAside(file);
    if (!moved.ok) return moved;
    kept.push(path.basename(moved.value));
  }
  options.onNotice?.(
    `what was known of the workers was damaged; it is kept as ${kept.join(', ')} in ${dir} and begins anew: they register again by themselves, and their checkpoints are found`,
  );
  return openWorkerJournal(dir, options);
}
