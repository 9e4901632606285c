import { setTimeout as sleep } from 'node:timers/promises';
import type { AdoptSpec } from '../../supervisor/ports.js';
import { bootId } from '../../util/os/boot.js';
import { sharesPids } from '../../util/os/lock-owner.js';
import { isDead, readProcess } from '../../util/os/proc.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import { giveUpLaunch, nobody, readLaunchRecord, readMain, type MainRecord } from './launch-record.js';
import { createOurs, markerName } from './ours.js';

/** What is left of an attempt that an earlier supervisor launched. */
export interface Found {
  readonly main: MainRecord;
  /** Start time before which no process is the attempt's. */
  readonly since: number;
  /** Settles when the shim has ended. */
  readonly shimExited: Promise<void>;
  readonly rebooted: boolean;
}

/** How long a shim that has won its launch may take to name the main process, ms. */
const namingMs = 10_000;
const namingPollMs = 5;
/** How often a shim is looked at that is not our child, ms. */
const shimPollMs = 50;

/**
 * Finds out what became of a launch whose supervisor died around or after it. undefined: it never started, and now
 * never will: who removes `go/` decides, its shim or we.
 */
export async function findAttempt({ attemptDir, runId }: AdoptSpec): Promise<Result<Found | undefined>> {
  const record = await readLaunchRecord(attemptDir);
  const rebooted = record !== undefined && record.bootId !== bootId();
  if (!readMain(attemptDir) && (await giveUpLaunch(attemptDir))) return ok(undefined);
  // pids of another boot, or of another namespace, name nothing here, or a stranger
  if (rebooted || (record && !sharesPids(record))) return ok({ ...gone, rebooted });
  const main = record ? await untilNamed(attemptDir) : readMain(attemptDir);
  if (main) return ok({ main, since: main.startTime, shimExited: untilShimEnds(main), rebooted });
  // its folder was never made or is gone, or its shim was killed while it named the command
  const left = createOurs({ marker: markerName(runId), attemptDir, main: nobody, since: 0 }).scan();
  if (left.length === 0) return ok(record && { ...gone, rebooted });
  const pids = left.map(({ pid }) => pid).join(', ');
  return fail(
    `processes of this run are alive (pid ${pids}), but ${attemptDir} does not say which of them is the training; ` +
      `nothing was changed, wait until they are done or end them, then run again`,
    exitStatus.busy,
  );
}

const gone = { main: nobody, since: Infinity, shimExited: Promise.resolve() };

/** The main process, once the shim that won the launch has named it. */
async function untilNamed(attemptDir: string): Promise<MainRecord | undefined> {
  for (let waitedMs = 0; waitedMs < namingMs; waitedMs += namingPollMs) {
    const main = readMain(attemptDir);
    if (main) return main;
    await sleep(namingPollMs);
  }
  return undefined;
}

async function untilShimEnds(main: MainRecord): Promise<void> {
  for (;;) {
    const shim = readProcess(main.session);
    if (!shim || isDead(shim) || shim.startTime > main.startTime) return;
    await sleep(shimPollMs);
  }
}
