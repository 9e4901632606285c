import type { GlobalOptions } from '../cli.js';
import { describePlace } from '../report/describe-run.js';
import { exitStatus, ok } from '../util/result.js';
import { chosenRun } from './find-run.js';
import { refuse } from './refuse.js';
import { livingOrphan, look, notActive, stopAndWait } from './stop-wait.js';
import { takeOver } from './take-over.js';

export interface StopOptions extends GlobalOptions {
  readonly dryRun?: true;
  readonly afterCheckpoint?: true;
}

/** `trainguard stop [run]`: asks the run's supervisor, wherever it is, to stop it gracefully, and waits until it has. */
export async function stop(name: string | undefined, options: StopOptions): Promise<number> {
  const json = options.json === true;
  const chosen = await chosenRun(name, options);
  if (!chosen.ok) return refuse(chosen.error, json);
  const run = chosen.value;
  const found = await look(run);
  if (!found.ok) return refuse(found.error, json);
  const tell = (text: string, stopped: boolean): number => {
    if (json) process.stdout.write(`${JSON.stringify({ run: run.name, stopped, message: text })}\n`);
    else if (!options.quiet) process.stdout.write(`${text}\n`);
    return exitStatus.done;
  };
  const { active, supervisor, record } = found.value;
  const orphan = active ? undefined : await livingOrphan(found.value);
  if (!active && orphan === undefined) {
    const known = await notActive(found.value);
    if (!known.ok) return refuse(known.error, json);
    return tell(`run ${run.name} is not active; there is nothing to stop`, false);
  }
  const afterCheckpoint = options.afterCheckpoint === true;
  if (afterCheckpoint && record && record.settings.checkpointDir === undefined) {
    const text = `run ${run.name} has no checkpoint folder, so none will be seen to be complete; stop it without --after-checkpoint`;
    return refuse({ message: text, exit: exitStatus.usage }, json);
  }
  const when = afterCheckpoint ? ' once its next checkpoint is complete' : '';
  if (options.dryRun) {
    const who = supervisor ? `${supervisor.pid}${describePlace(supervisor)}` : '?';
    const what = orphan === undefined ? `supervisor ${who}` : `pid ${orphan}, which has no supervisor`;
    return tell(`would stop run ${run.name}${when} (${what})`, false);
  }
  // who is stopped without a supervisor is neither given time for a save nor judged
  const taken = orphan === undefined ? ok(undefined) : await takeOver(run);
  if (!taken.ok) return refuse(taken.error, json);
  if (afterCheckpoint && !json && !options.quiet) {
    process.stdout.write(
      `asked run ${run.name} to stop${when}; another stop without --after-checkpoint stops it now\n`,
    );
  }
  const stopped = await stopAndWait(run, { afterCheckpoint });
  if (!stopped.ok) return refuse(stopped.error, json);
  const left = await look(run);
  const end = left.ok ? left.value.record?.state : undefined;
  if (end?.name === 'ended' && (end.outcome === 'completed' || end.outcome === 'failed')) {
    return tell(`run ${run.name} ${end.outcome} before it was stopped`, false);
  }
  return tell(`run ${run.name} is stopped`, true);
}
