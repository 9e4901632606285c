import path from 'node:path';
import { attemptFiles } from '../engines/local/attempt-files.js';
import { attemptDirs, findLivingWorker, readMain, readStatus } from '../engines/local/launch-record.js';
import type { StateRecord } from '../report/status-view.js';
import type { Run } from '../runs/run-dir.js';
import { formatDuration } from '../util/duration.js';
import { freshForMs, isFresh, thisPlace, whereIs } from '../util/os/lock-owner.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { isAliveElsewhere, modifiedAt } from './supervision.js';

/**
 * Whether a run whose lock is ours may be gone on with here: not while a supervisor on another host still writes its
 * state, nor while its worker, which cannot be adopted from here, may be at work. Two attempts never overlap.
 * @returns what a person should know about it
 */
export async function mayGoOnHere(
  run: Run,
  record: StateRecord | undefined,
): Promise<Result<string | undefined>> {
  const writtenAt = await modifiedAt(run.paths.state);
  if (!record || writtenAt === undefined || record.state.name === 'ended') return ok(undefined);
  const { state, host, pid } = record;
  const where = whereIs(record, writtenAt);
  if (where === 'here' || where === 'other-boot') return ok(undefined);

  const now = Date.now();
  const place = where === 'other-host' ? `on host ${host}` : `in another pid namespace`;
  const ago = (at: number): string => `${formatDuration(now - at)} ago`;
  const gone = `the supervisor of run ${run.name} (pid ${pid} ${place}) was last heard of ${ago(writtenAt)}`;
  if (isAliveElsewhere(record, writtenAt, now)) {
    return busy(
      `run ${run.name} is already supervised by pid ${pid} ${place}, which wrote its state ${ago(writtenAt)}; ` +
        `stop it with "trainguard stop ${run.name}", or choose another --name ` +
        `(if that host is gone, try again in ${freshForMs / 60_000} minutes)`,
    );
  }
  // the attempt under way, or one that state.json had not yet heard of; before it is launched it has no folder
  const dir = (await attemptDirs(run.dir)).at(-1) ?? '';
  const worker = readMain(dir);
  if (!worker || Number(path.basename(dir)) < state.ledger.attempt || readStatus(dir) !== undefined) {
    return ok(undefined);
  }
  if (where === 'other-namespace') {
    const living = await findLivingWorker(run.dir);
    if (living) {
      return busy(`${gone}, but its worker lives on there; end it with "kill ${living.pid}", then run again`);
    }
    // a namespace ends with its first process, and the outermost one sees all the others
    if (pid === 1 || thisPlace().pidNamespace === outermost) return ok(undefined);
  }
  const { out, err } = attemptFiles(dir);
  const lastOutput = Math.max(...(await Promise.all([out, err].map(modifiedAt))).map((at) => at ?? 0));
  if (isFresh(now - lastOutput)) {
    return busy(
      `${gone}, but its worker there still writes (${ago(lastOutput)}); ` +
        `wait until it is done, or end it there with "kill ${worker.pid}", then run again`,
    );
  }
  return ok(`${gone}; its worker there (pid ${worker.pid}) is silent too: should it live after all, end it`);
}

/** The kernel's own number for the first pid namespace (PROC_PID_INIT_INO). */
const outermost = String(0xeffffffc);

const busy = (text: string): Result<never> => fail(text, exitStatus.busy);
