import os from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GlobalOptions } from '../cli.js';
import { requestStop } from '../runs/requests.js';
import type { Run } from '../runs/run-dir.js';
import { probeLock } from '../util/os/lock.js';
import { exitStatus, ok, type Result } from '../util/result.js';
import { chosenRun } from './find-run.js';
import { refuse } from './refuse.js';

export interface StopOptions extends GlobalOptions {
  readonly dryRun?: true;
}

/** `trainguard stop [run]`: asks the run's supervisor to stop it gracefully, and waits until it has. */
export async function stop(name: string | undefined, options: StopOptions): Promise<number> {
  const json = options.json === true;
  const found = await chosenRun(name, options);
  if (!found.ok) return refuse(found.error, json);
  const run = found.value;
  const holder = await probeLock({ dir: run.dir, keepIn: run.dir });
  const tell = (text: string, stopped: boolean): number => {
    if (json) process.stdout.write(`${JSON.stringify({ run: run.name, stopped, message: text })}\n`);
    else if (!options.quiet) process.stdout.write(`${text}\n`);
    return exitStatus.done;
  };
  if (!holder) return tell(`run ${run.name} is not active; there is nothing to stop`, false);
  if (options.dryRun)
    return tell(`would stop run ${run.name} (supervisor ${holder.owner?.pid ?? '?'})`, false);
  const stopped = await stopAndWait(run);
  if (!stopped.ok) return refuse(stopped.error, json);
  return tell(`run ${run.name} is stopped`, true);
}

/** How often the lock is looked at, ms. */
const pollMs = 200;

/** Leaves the request and waits, without a bound, until no supervisor holds the run. */
export async function stopAndWait(run: Run): Promise<Result<void>> {
  const asked = await requestStop(run.dir, {
    by: `pid ${process.pid} on host ${os.hostname()}`,
    afterCheckpoint: false,
    at: Date.now(),
  });
  if (!asked.ok) return asked;
  while (await probeLock({ dir: run.dir, keepIn: run.dir })) await sleep(pollMs);
  return ok(undefined);
}
