import { setTimeout as sleep } from 'node:timers/promises';
import type { AdoptSpec, Clock, Engine, LaunchSpec, WorkerEvents } from '../../supervisor/ports.js';
import { formatDuration } from '../../util/duration.js';
import { mono } from '../../util/os/boot.js';
import { errorCode, errorText } from '../../util/os/durable.js';
import { openFilesBefore } from '../../util/os/open-files.js';
import { readProcess } from '../../util/os/proc.js';
import { signalNumber } from '../../util/os/signals.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import { findAttempt } from './adopt.js';
import { createEndedWorker } from './ended-worker.js';
import { watchHost } from './host-facts.js';
import { giveUpLaunch, readLaunchRecord, readMain, readStatus } from './launch-record.js';
import { markerName } from './ours.js';
import { prepareLaunch, syncLaunch, type LogDescriptors } from './prepare.js';
import { resolveCommand } from './resolve-command.js';
import { carriedPastShell, shimArguments, shimLost, shimShell } from './shim.js';
import { loadSpawner, type Spawned, type SpawnedExit, type Spawner } from './spawn.js';
import { createWorker, type LocalWorker } from './worker.js';

export interface LocalEngineOptions {
  /** Bytes on disk that one attempt's logs may take (`logs.keep`). */
  readonly logsKeepAttemptBytes: number;
  /** What leftovers of an attempt that ended by itself get at most, ms; 30 s unless given. */
  readonly graceMs?: number;
  /** Folders whose open files mark a leftover as a checkpoint's writer, and whose free space is told. */
  readonly checkpointDirs?: readonly string[];
  readonly clock?: Pick<Clock, 'now' | 'mono' | 'after'>;
  /** The shell of the shim: /bin/sh. */
  readonly shell?: string;
  /** How long the shim, a few milliseconds' work, may take on a sick machine to name the main process; 60 s, in ms. */
  readonly namingMs?: number;
}

export interface LocalEngine extends Engine {
  readonly name: 'local';
  launch(spec: LaunchSpec, events: WorkerEvents): Promise<Result<LocalWorker>>;
  adopt(spec: AdoptSpec, events: WorkerEvents): Promise<Result<LocalWorker | undefined>>;
}

/** The engine that runs attempts as processes of this host (DESIGN section 4). */
export function createLocalEngine(options: LocalEngineOptions): LocalEngine {
  const spawner = loadSpawner(); // begins now, so that the first launch does not wait for it
  return {
    name: 'local',
    launch: async (spec, events) => await launch(spec, events, options, await spawner),
    adopt: async (spec, events) => await adopt(spec, events, options, await spawner),
  };
}

async function adopt(
  spec: AdoptSpec,
  events: WorkerEvents,
  options: LocalEngineOptions,
  spawner: Spawner,
): Promise<Result<LocalWorker | undefined>> {
  const found = await findAttempt(spec);
  if (!found.ok || !found.value) return found.ok ? ok(undefined) : found;
  const { rebooted, ...attempt } = found.value;
  const { attemptDir, runId, offsets } = spec;
  const checkpointDirs = options.checkpointDirs ?? [];
  const record = rebooted ? undefined : await readLaunchRecord(attemptDir);
  const host = watchHost({
    dirs: [attemptDir, ...checkpointDirs],
    pid: attempt.main.pid,
    sinceMono: record?.startedMono,
    oomCount: record?.oomCount,
  });
  try {
    const worker = await createWorker({
      ...{ attemptDir, runId, offsets, events, spawner, checkpointDirs, ...attempt },
      host: rebooted ? { ...host, facts: async (pids) => ({ ...(await host.facts(pids)), rebooted }) } : host,
      clock: options.clock ?? systemClock,
      logsKeepAttemptBytes: options.logsKeepAttemptBytes,
      graceMs: options.graceMs ?? defaultGraceMs,
    });
    return ok(worker);
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return fail(
      `the attempt in ${attemptDir} cannot be watched (${errorText(error)}); whatever of it runs goes on`,
      exitStatus.internal,
      errorCode(error),
    );
  }
}

async function launch(
  spec: LaunchSpec,
  events: WorkerEvents,
  options: LocalEngineOptions,
  spawner: Spawner,
): Promise<Result<LocalWorker>> {
  const { attemptDir } = spec;
  const clock = options.clock ?? systemClock;
  if (signalNumber(spec.stopSignal) === undefined)
    return fail(
      `there is no stop signal ${spec.stopSignal} here; use SIGTERM, SIGINT or another`,
      exitStatus.config,
    );
  const checkpointDirs = options.checkpointDirs ?? [];
  const host = watchHost({ dirs: [attemptDir, ...checkpointDirs], sinceMono: mono() });
  const prepared = prepareLaunch(spec, clock.now(), host.oomCount);
  if (!prepared.ok) return prepared;
  const logs = prepared.value;
  const command = resolveCommand(spec.argv[0], spec.env, spec.cwd);
  if (!command.ok) {
    logs.close();
    await giveUpLaunch(attemptDir);
    const { code = 'ENOENT', message } = command.error;
    return ok(createEndedWorker({ type: 'not-started', code, message }, attemptDir, host));
  }

  const shim = startShim(spec, options, spawner, logs);
  const since = shim.pid === undefined ? undefined : readProcess(shim.pid)?.startTime;
  // nobody waits for it: a disk may take 10 ms and more
  void syncLaunch(attemptDir).catch((error: unknown) => {
    events.notice(`the launch record in ${attemptDir} may not survive a power cut (${errorText(error)})`);
  });
  const ended = await untilNamed(shim, attemptDir, options.namingMs ?? defaultNamingMs);
  const main = readMain(attemptDir);
  if (!main) {
    const exit = ended && whyNoMain(ended, attemptDir);
    if (exit) return ok(createEndedWorker(exit, attemptDir, host));
    return fail(
      `${attemptDir} was launched or given up by another; take the next attempt's number`,
      exitStatus.busy,
    );
  }
  return await takeInHand(shim, () =>
    createWorker({
      ...{ attemptDir, main, events, host, spawner, clock, checkpointDirs },
      runId: spec.runId,
      since: since ?? main.startTime,
      shimExited: shim.exited,
      offsets: { out: 0, err: 0 },
      logsKeepAttemptBytes: options.logsKeepAttemptBytes,
      graceMs: options.graceMs ?? defaultGraceMs,
    }),
  );
}

/** A worker that runs and that we could not watch is worse than none. */
async function takeInHand(shim: Spawned, create: () => Promise<LocalWorker>): Promise<Result<LocalWorker>> {
  try {
    return ok(await create());
  } catch (error) {
    killGroup(shim);
    if (errorCode(error) === undefined) throw error;
    const text = `the attempt was started but cannot be watched, so it was killed (${errorText(error)})`;
    return fail(text, exitStatus.internal, errorCode(error));
  }
}

/** The shim is our child, so that its group's number is not another's while it was not waited for. */
function killGroup({ pid }: Spawned): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error; // it has ended
  }
}

const defaultGraceMs = 30_000;
const defaultNamingMs = 60_000;

const systemClock: Pick<Clock, 'now' | 'mono' | 'after'> = {
  now: () => Date.now(),
  mono,
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

function startShim(
  spec: LaunchSpec,
  options: LocalEngineOptions,
  spawner: Spawner,
  logs: LogDescriptors,
): Spawned {
  const env: Record<string, string> = {
    PYTHONUNBUFFERED: '1', // without it no heartbeat arrives until a buffer is full
    ...spec.env,
    TRAINGUARD_RUN_ID: spec.runId,
    [markerName(spec.runId)]: '1',
  };
  const args = shimArguments(
    options.shell ?? shimShell,
    spec.attemptDir,
    spec.stopSignal,
    spec.argv,
    carriedPastShell(env),
    openFilesBefore,
  );
  try {
    return spawner.start(options.shell ?? shimShell, args, {
      cwd: spec.cwd,
      env,
      stdin: spec.stdin === 'inherit' ? 0 : 'ignore',
      stdout: logs.out,
      stderr: logs.err,
    });
  } finally {
    logs.close();
  }
}

/**
 * Waits until the shim has named the main process, or has ended. One that takes too long is made to end if it has won
 * its launch, however long that takes: it may still start the command, and nothing may be launched beside it.
 */
async function untilNamed(
  shim: Spawned,
  attemptDir: string,
  limitMs: number,
): Promise<SpawnedExit | undefined> {
  let ended: SpawnedExit | undefined;
  void shim.exited.then((exit) => (ended = exit));
  for (let waitedMs = 0; !ended && !readMain(attemptDir) && waitedMs < limitMs; waitedMs++) await sleep(1);
  if (ended || readMain(attemptDir)) return ended;
  const givenUp = await giveUpLaunch(attemptDir);
  if (!givenUp && readMain(attemptDir)) return undefined;
  killGroup(shim);
  return givenUp ? tooLate(limitMs) : await shim.exited;
}

const tooLate = (limitMs: number): SpawnedExit => ({
  type: 'failed',
  code: 'ETIMEDOUT',
  message: `the shell that starts the command had done nothing after ${formatDuration(limitMs)}`,
});

/** Why nothing was started; undefined if the launch was another's. */
function whyNoMain(
  ended: SpawnedExit,
  attemptDir: string,
): Parameters<typeof createEndedWorker>[0] | undefined {
  if (ended.type === 'failed') return { type: 'not-started', code: ended.code, message: ended.message };
  if (ended.code === shimLost && readStatus(attemptDir) === undefined) return undefined;
  const message = `the launch in ${attemptDir} failed before the command started; see its shim.err`;
  return { type: 'not-started', code: 'EIO', message };
}
