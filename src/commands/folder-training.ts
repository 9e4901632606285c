import path from 'node:path';
import { findLivingWorker } from '../engines/local/launch-record.js';
import { createOurs, markerName } from '../engines/local/ours.js';
import type { Run } from '../runs/run-dir.js';
import { readVersioned, writeVersioned } from '../runs/versioned-file.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';

/** Which run last trained into a checkpoint folder, as the folder's vault remembers it. */
interface Training {
  readonly run: string;
  readonly runId: string;
  readonly runDir: string;
}

/**
 * Takes a checkpoint folder for a run whose lock it holds. Refuses while a worker of another run lives on whose
 * supervisor is gone, and its lock with it: two trainings in one folder would ruin both.
 */
export async function claimFolder(vault: string, run: Run): Promise<Result<void>> {
  const file = path.join(vault, 'training.json');
  const read = await readVersioned<Training>(file, 'move it away');
  // damaged, it protects from nothing any more
  const last = read.ok ? read.value : undefined;
  if (last?.runId === run.id) return ok(undefined);
  const living = last && (await livingWorkerOf(last));
  if (living !== undefined) {
    return fail(
      `the training of run ${last?.run} still writes into this checkpoint folder though its supervisor is gone: pid ${living}; ` +
        `wait until it is done, or take it over ("trainguard attach", in ${path.resolve(last?.runDir ?? '', '..', '..')}), or end it with "kill ${living}"`,
      exitStatus.busy,
    );
  }
  return writeVersioned(file, { run: run.name, runId: run.id, runDir: run.dir } satisfies Training);
}

/** By what its run's folder says; where that was moved, by the mark that every process of a run carries. */
async function livingWorkerOf({ runId, runDir }: Training): Promise<number | undefined> {
  const known = await findLivingWorker(runDir);
  if (known) return known.pid;
  const nobody = { pid: 0, startTime: 0, session: -1 };
  const [marked] = createOurs({
    marker: markerName(runId),
    attemptDir: runDir,
    main: nobody,
    since: 0,
  }).scan();
  return marked?.pid;
}
