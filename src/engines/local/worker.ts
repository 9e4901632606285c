import { realpathSync } from 'node:fs';
import type { Exit } from '../../failure/types.js';
import type { Clock, LogOffsets, Worker, WorkerEvents } from '../../supervisor/ports.js';
import { readLiving } from '../../util/os/proc.js';
import { attemptFiles } from './attempt-files.js';
import type { HostWatch } from './host-facts.js';
import type { Job } from './job.js';
import type { MainRecord } from './launch-record.js';
import { clearLeftovers } from './leftovers.js';
import { watchMain } from './main-watch.js';
import { createOrders } from './orders.js';
import { createOurs, markerName, type Ours } from './ours.js';
import type { SpawnedExit, Spawner } from './spawn.js';
import { createStackDumper } from './stacks.js';
import { untilMainEnds } from './stop-ladder.js';
import { openTails } from './tails.js';

/** A worker on this host. */
export interface LocalWorker extends Worker {
  /** Says that a complete checkpoint appeared: what a preempted worker that takes no warning is waited for. */
  noteCheckpoint(): void;
}

export interface WorkerOptions {
  readonly attemptDir: string;
  readonly runId: string;
  readonly main: MainRecord;
  /** Start time of the shim, or a time before it: no process of the attempt is older. */
  readonly since: number;
  /** Settles when the shim has ended, with how, if it is our child. */
  readonly shimExited: Promise<SpawnedExit> | Promise<void>;
  /** Where reading the logs goes on. */
  readonly offsets: LogOffsets;
  readonly events: WorkerEvents;
  readonly host: HostWatch;
  readonly spawner: Spawner;
  readonly clock: Pick<Clock, 'now' | 'mono' | 'after'>;
  readonly logsKeepAttemptBytes: number;
  readonly checkpointDirs: readonly string[];
  readonly graceMs: number;
}

/** When descendants are first looked at, and how often after that, ms. */
const firstLookMs = 1000;
const lookEveryMs = 5000;

/** Takes a running attempt in hand, from its launch on or from anywhere later. */
export async function createWorker(options: WorkerOptions): Promise<LocalWorker> {
  const { attemptDir, main, events, clock, spawner, shimExited } = options;
  const files = attemptFiles(attemptDir);
  const orders = createOrders(clock);
  const marker = markerName(options.runId);
  const pids = new Set([main.pid]);
  const ours = remembering(createOurs({ marker, attemptDir, main, since: options.since }), pids);
  const checkpointDirs = options.checkpointDirs.map(realPath);
  const stacks = createStackDumper({
    ...{ files, ours, main, spawner, clock, checkpointDirs },
    notice: (text) => events.notice(text),
  });

  // who leaves session, environment and output behind is known only while its parent lives
  let cancelLook = clock.after(firstLookMs, look);
  function look(): void {
    ours.scan();
    options.host.look(main.pid);
    cancelLook = clock.after(lookEveryMs, look);
  }

  let exit: Exit | undefined;
  void watchMain({ attemptDir, main, marker, shimExited, clock }).then((seen) => {
    exit = seen;
    cancelLook();
    orders.wake();
  });
  const job: Job = {
    ...{ main, ours, orders, events, clock, spawner, stacks, checkpointDirs },
    graceMs: options.graceMs,
    exit: () => exit,
  };
  const tails = await openTails({ ...options, files });
  const seeToTheEnd = async (): Promise<Exit> => {
    const seen = await untilMainEnds(job);
    await clearLeftovers(job, seen);
    await tails.finish();
    return seen;
  };

  return {
    pid: main.pid,
    get alive() {
      return readLiving(main) !== undefined;
    },
    ended: seeToTheEnd(),
    drain: () => tails.drain(),
    get offsets() {
      return tails.offsets;
    },
    isSuspended: () => ['T', 't'].includes(readLiving(main)?.state ?? ''),
    stop: (order) => orders.stop(order),
    kill: () => orders.kill(),
    noteCheckpoint: () => orders.noteCheckpoint(),
    dumpStacks: () => stacks.dump(),
    get stacks() {
      return stacks.summary;
    },
    tails: (bytes) => tails.ends(bytes),
    hostFacts: async () => await options.host.facts(pids),
  };
}

/** Notes whom it ever saw, within a bound: the kernel's log names who is gone by then. */
const remembering = (ours: Ours, pids: Set<number>): Ours => ({
  scan() {
    const found = ours.scan();
    for (const { pid } of found) if (pids.size < maxPids) pids.add(pid);
    return found;
  },
});

const maxPids = 10_000;

/** As the kernel names a folder's files; a folder that is not there yet keeps its name. */
function realPath(dir: string): string {
  try {
    return realpathSync(dir);
  } catch {
    return dir;
  }
}
