import { existsSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AdoptSpec } from '../../supervisor/ports.js';
import { bootId } from '../../util/os/boot.js';
import { sharesPids } from '../../util/os/lock-owner.js';
import { hasProc, isDead, readLiving, readProcess, type ProcInfo } from '../../util/os/proc.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import { attemptFiles } from './attempt-files.js';
import {
  giveUpLaunch,
  nobody,
  readLaunchRecord,
  readMain,
  readStatus,
  type LaunchRecord,
  type MainRecord,
} from './launch-record.js';
import { createOurs, markerName, type Ours } from './ours.js';

/** What is left of an attempt that an earlier supervisor launched. */
export interface Found {
  readonly main: MainRecord;
  /** Start time before which no process is the attempt's. */
  readonly since: number;
  /** Settles when the shim has ended. */
  readonly shimExited: Promise<void>;
  readonly rebooted: boolean;
}

/** How often a shim that has won its launch is waited for to name the main process: 10 s in all. */
const namingLooks = 2000;
const namingPollMs = 5;
const looksAScan = 200;
/** How often a shim is looked at that is not our child, ms. */
const shimPollMs = 50;

/**
 * Finds out what became of a launch whose supervisor died around or after it. undefined: it never started, and now
 * never will: who removes `go/` decides, its shim or we.
 */
export async function findAttempt({ attemptDir, runId }: AdoptSpec): Promise<Result<Found | undefined>> {
  const record = await readLaunchRecord(attemptDir);
  if (!readMain(attemptDir) && (await giveUpLaunch(attemptDir))) return ok(undefined);
  // pids of another boot name nothing here, or a stranger
  if (record && record.bootId !== bootId()) return ok({ ...gone, rebooted: true });
  const ours = createOurs({ marker: markerName(runId), attemptDir, main: nobody, since: 0 });
  const main = record ? await untilNamed(attemptDir, record, ours) : readMain(attemptDir);
  if (main && record && sharesPids(record)) return ok(foundBy(main));
  const left = ours.scan();
  // of which boot and namespace its pid is, is not on record: only what is seen here counts
  if (main && !record && isSeen(main, left)) return ok(foundBy(main));
  if (left.length === 0) return ok(main || wasStarted(attemptDir, record) ? gone : undefined);
  // its folder is gone, or its shim was killed while it named the command, or its pid is another namespace's
  const pids = left.map(({ pid }) => pid).join(', ');
  const why = main
    ? 'cannot be taken over from here'
    : `${attemptDir} does not say which of them is the training`;
  return fail(
    `processes of this run are alive (pid ${pids}), but ${why}; ` +
      `nothing was changed, wait until they are done or end them, then run again`,
    exitStatus.busy,
  );
}

const gone: Found = { main: nobody, since: Infinity, shimExited: Promise.resolve(), rebooted: false };

const foundBy = (main: MainRecord): Found => ({
  ...{ main, since: main.startTime, shimExited: untilShimEnds(main) },
  rebooted: false,
});

const isSeen = (main: MainRecord, left: readonly ProcInfo[]): boolean =>
  readLiving(main) !== undefined || left.some(({ session }) => session === main.session);

/**
 * Whether a launch that left neither a process nor its name may have run. The shim names the command before it
 * starts it, so a name that is still blank, in this boot, means no; so does a folder that nothing was put into.
 */
function wasStarted(attemptDir: string, record: LaunchRecord | undefined): boolean {
  if (record && existsSync(attemptFiles(attemptDir).pid)) return readStatus(attemptDir) !== undefined;
  return record !== undefined || (existsSync(attemptDir) && readdirSync(attemptDir).length > 0);
}

/** The main process, once the shim that won the launch has named it; undefined where no shim is left to do so. */
async function untilNamed(
  attemptDir: string,
  record: LaunchRecord,
  ours: Ours,
): Promise<MainRecord | undefined> {
  for (let looks = 0; looks < namingLooks; looks++) {
    const main = readMain(attemptDir);
    if (main) return main;
    const ended = readStatus(attemptDir) !== undefined || (sharesPids(record) && isNobodyLeft(looks, ours));
    if (ended) return readMain(attemptDir);
    await sleep(namingPollMs);
  }
  return undefined;
}

/** Looked for now and then only: every process of the host is asked. */
const isNobodyLeft = (looks: number, ours: Ours): boolean =>
  hasProc() && looks % looksAScan === 0 && ours.scan().length === 0;

async function untilShimEnds(main: MainRecord): Promise<void> {
  for (;;) {
    const shim = readProcess(main.session);
    if (!shim || isDead(shim) || shim.startTime > main.startTime) return;
    await sleep(shimPollMs);
  }
}
