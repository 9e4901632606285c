import fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GlobalOptions } from '../cli.js';
import { attemptDirs } from '../engines/local/launch-record.js';
import type { StateRecord } from '../report/status-view.js';
import { attemptDirOf, type Run } from '../runs/run-dir.js';
import { readState } from '../runs/state-file.js';
import { errorCode } from '../util/os/durable.js';
import { pumpFile } from '../util/os/follow.js';
import { probeLock } from '../util/os/lock.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { formatBytes } from '../util/text.js';
import { chosenRun } from './find-run.js';
import { createOutput, type Output } from './output.js';
import { refuse } from './refuse.js';

export interface LogsOptions extends GlobalOptions {
  readonly follow?: true;
  readonly attempt?: number;
}

/** `trainguard logs [run]`: the training's stdout on stdout, its stderr on stderr; -f goes on until the run ends. */
export async function logs(name: string | undefined, options: LogsOptions): Promise<number> {
  const json = options.json === true;
  const found = await chosenRun(name, options);
  if (!found.ok) return refuse(found.error, json);
  const run = found.value;
  const chosen = await chooseAttempt(run, options.attempt);
  if (!chosen.ok) return refuse(chosen.error, json);
  if (json) {
    process.stdout.write(`${JSON.stringify(await describeAttempt(run, chosen.value))}\n`);
    return exitStatus.done;
  }
  // a reader that has seen enough (`| head`) ends it
  const gone = new AbortController();
  const output = createOutput({ color: false }, () => gone.abort());
  for (let attempt = chosen.value; ; attempt++) {
    await pumpAttempt(run, attempt, output, { follow: options.follow ?? false, gone: gone.signal });
    if (gone.signal.aborted) break;
    // -f of the newest attempt goes on with the next one
    if (!options.follow || options.attempt !== undefined) break;
    if (!(await exists(attemptDirOf(run.dir, attempt + 1)))) break;
  }
  return exitStatus.done;
}

async function chooseAttempt(run: Run, wanted: number | undefined): Promise<Result<number>> {
  const numbers = (await attemptDirs(run.dir)).map((dir) => Number(path.basename(dir)));
  const newest = numbers.at(-1);
  if (newest === undefined) return fail(`run ${run.name} has not launched an attempt yet`, exitStatus.failed);
  if (wanted === undefined) return ok(newest);
  if (numbers.includes(wanted)) return ok(wanted);
  return fail(
    `run ${run.name} has no logs of attempt ${wanted}; there are: ${numbers.join(', ')}`,
    exitStatus.usage,
  );
}

async function pumpAttempt(
  run: Run,
  attempt: number,
  output: Output,
  { follow, gone }: { readonly follow: boolean; readonly gone: AbortSignal },
): Promise<void> {
  const dir = attemptDirOf(run.dir, attempt);
  let over = !follow;
  const watch = follow ? watchEnd(run, attempt, gone, () => (over = true)) : Promise.resolve();
  const pump = (stream: 'out' | 'err'): Promise<number> =>
    pumpFile(path.join(dir, `worker-0.${stream}.log`), 0, (chunk) => output[stream](chunk), {
      ended: () => over,
      signal: gone,
      released: (bytes) => output.err(Buffer.from(`[${formatBytes(bytes)} of output were released]\n`)),
    });
  await Promise.all([pump('out'), pump('err'), watch]);
}

/** An attempt is over when another one is there, when the run has ended, or when nobody supervises it. */
async function watchEnd(run: Run, attempt: number, gone: AbortSignal, ended: () => void): Promise<void> {
  while (!gone.aborted) {
    const state = await readState<StateRecord>(run.paths.state);
    const ledger = state.ok ? state.value?.state : undefined;
    const next = await exists(attemptDirOf(run.dir, attempt + 1));
    const active = await probeLock({ dir: run.dir, keepIn: run.dir });
    if (next || ledger?.name === 'ended' || !active) break;
    await sleep(300);
  }
  ended();
}

async function describeAttempt(run: Run, attempt: number): Promise<unknown> {
  const dir = attemptDirOf(run.dir, attempt);
  const size = async (file: string): Promise<number | null> => {
    try {
      return (await fs.stat(file)).size;
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      return null;
    }
  };
  const out = path.join(dir, 'worker-0.out.log');
  const err = path.join(dir, 'worker-0.err.log');
  return {
    run: run.name,
    attempt,
    out: { path: out, bytes: await size(out) },
    err: { path: err, bytes: await size(err) },
  };
}

async function exists(dir: string): Promise<boolean> {
  try {
    await fs.stat(dir);
    return true;
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return false;
  }
}
