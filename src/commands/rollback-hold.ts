import { findLivingWorker } from '../engines/local/launch-record.js';
import type { Run } from '../runs/run-dir.js';
import { acquireLock } from '../util/os/lock.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { livingOrphan, look, stopAndWait } from './stop-wait.js';
import { takeOver } from './take-over.js';

/**
 * Takes a run in hand, so that nobody else touches it meanwhile.
 * @param stop stop it first if it is at work
 * @returns what gives it back; exit 75 while it is at work
 */
export async function holdRun(run: Run, stop: boolean): Promise<Result<() => Promise<void>>> {
  const found = await look(run);
  if (!found.ok) return found;
  const { active, supervisor } = found.value;
  if (active && !stop) {
    const who = supervisor
      ? `pid ${supervisor.pid} on host ${supervisor.host}`
      : 'a process that does not answer';
    return fail(`run ${run.name} is active (${who}); stop it first, or add --stop`, exitStatus.busy);
  }
  const orphan = active ? undefined : await livingOrphan(found.value);
  if (orphan !== undefined) {
    const text = `run ${run.name} has no supervisor, but its worker lives on: pid ${orphan}; stop it first ("trainguard stop ${run.name}"), or add --stop`;
    if (!stop) return fail(text, exitStatus.busy);
    const taken = await takeOver(run);
    if (!taken.ok) return taken;
  }
  if (active || orphan !== undefined) {
    const stopped = await stopAndWait(run);
    if (!stopped.ok) return stopped;
  }
  const lock = await acquireLock({ kind: 'run', run: run.name, dir: run.dir, keepIn: run.dir });
  if (!lock.ok) return lock;
  const living = await findLivingWorker(run.dir);
  if (!living) return ok(() => lock.value.release());
  await lock.value.release();
  return fail(
    `run ${run.name} has no supervisor, but its worker lives on: pid ${living.pid}; "trainguard stop ${run.name}" stops it`,
    exitStatus.busy,
  );
}
