import path from 'node:path';
import type { GlobalOptions } from '../cli.js';
import type { Line } from '../report/narrate.js';
import { refused } from '../runs/problems.js';
import { mayPass } from '../serve/may-pass.js';
import { openService, type Service } from '../serve/service.js';
import { acquireLock, type Lock, probeLock } from '../util/os/lock.js';
import { describeOwner } from '../util/os/lock-owner.js';
import { makeDirs } from '../util/os/make-dirs.js';
import { exitStatus, fail, type Result } from '../util/result.js';
import { plural, shellWord } from '../util/text.js';
import { createOutput, type Output } from './output.js';
import { refuse } from './refuse.js';
import { stateDirOf } from './seeker.js';
import { stretchMs, WorkerLines } from './serve-lines.js';
import { listenToSignals } from './signals.js';

/** As the command line has them: durations in ms, sizes in bytes. */
export interface ServeOptions extends GlobalOptions {
  readonly port?: number;
  readonly host?: string;
  readonly allowHost?: readonly string[];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly insecure?: true;
  readonly tokenFile?: string;
  readonly checkpointDir?: string;
  readonly heartbeatInterval?: number;
  readonly heartbeatTimeout?: number;
  readonly maxFailures?: number;
  readonly keepCheckpoints?: number;
  readonly maxCheckpointSize?: number;
  readonly maxConnections?: number;
}

/** `trainguard serve`: goes on until it is told to stop; what it knows survives any end of it. */
export async function serve(options: ServeOptions): Promise<number> {
  const json = options.json === true;
  const stateDir = await stateDirOf(options);
  if (!stateDir.ok) return refuse(stateDir.error, json);
  const dir = path.join(stateDir.value, 'serve');
  const locked = await lock(dir);
  if (!locked.ok) return refuse(locked.error, json);
  try {
    return await serveFrom(dir, options);
  } finally {
    await locked.value.release();
  }
}

async function serveFrom(dir: string, options: ServeOptions): Promise<number> {
  const json = options.json === true;
  const output = createOutput({ json, color: options.color, ...(options.quiet && { quiet: true }) });
  let stop: () => void = () => undefined;
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  const deafen = listenToSignals({
    stop: (by) => {
      // Slurm's early warning leaves the workers the time that is left
      if (by !== 'warning') stop();
    },
    hangup: () => output.detach(),
  });
  // what tools send that mean something else by it (a debugger, nodemon) is no reason to end
  const ignore = (): void => undefined;
  process.on('SIGUSR2', ignore);
  const notice = (text: string): void => output.say([{ tone: 'warning', text }]);
  try {
    const opened = await openService({ ...serviceOptions(options), dir, notice });
    if (!opened.ok) return refuse(opened.error, json);
    const service = opened.value;
    const quieten = tellOfWorkers(service, output);
    output.say(greeting(service, dir));
    if (json) output.json({ type: 'serving', url: service.url, tokenFile: service.tokenFile });
    await stopped;
    output.say([{ tone: 'note', text: 'stopping: requests under way are let end' }]);
    await service.close();
    quieten();
    output.say([{ tone: 'done', text: `stopped; what is known of the workers is kept in ${dir}` }]);
    await output.finish(1000);
    return exitStatus.done;
  } finally {
    process.off('SIGUSR2', ignore);
    deafen();
  }
}

async function lock(dir: string): Promise<Result<Lock>> {
  const request = { kind: 'run', run: 'serve', dir, keepIn: dir } as const;
  let locked: Result<Lock>;
  try {
    await makeDirs(dir, 0o700);
    locked = await acquireLock(request);
  } catch (error) {
    return mayPass(refused(`use the folder ${dir}`, error));
  }
  if (locked.ok || locked.error.exit !== exitStatus.busy) return mayPass(locked);
  const owner = (await probeLock(request))?.owner;
  const who = owner ? ` (${describeOwner(owner)})` : '';
  return fail(
    `trainguard serve is already at work in ${dir}${who}; stop that one, or choose another --state-dir`,
    exitStatus.busy,
  );
}

/** The manager counts in seconds, as its ancestors did. */
function serviceOptions(options: ServeOptions): Omit<Parameters<typeof openService>[0], 'dir' | 'notice'> {
  const {
    allowHost,
    heartbeatInterval,
    heartbeatTimeout,
    maxCheckpointSize,
    tokenFile,
    checkpointDir,
    ...as
  } = options;
  return {
    ...as,
    ...(allowHost && { allowHosts: allowHost }),
    ...(tokenFile !== undefined && { tokenFile: path.resolve(tokenFile) }),
    ...(checkpointDir !== undefined && { checkpointDir: path.resolve(checkpointDir) }),
    ...(heartbeatInterval !== undefined && { heartbeatInterval: heartbeatInterval / 1000 }),
    ...(heartbeatTimeout !== undefined && { heartbeatTimeout: heartbeatTimeout / 1000 }),
    ...(maxCheckpointSize !== undefined && { maxCheckpointBytes: maxCheckpointSize }),
  };
}

function greeting({ url, tokenFile, caFile, manager }: Service, dir: string): readonly Line[] {
  const workers = manager.getWorkers();
  const failed = workers.filter(({ status }) => status === 'failed').length;
  const beyond = workers.filter((one) => one.failureCount > manager.maxFailuresOf(one.workerId)).length;
  const stopped = beyond === 0 ? '' : `, ${beyond} told to stop`;
  const known =
    workers.length === 0
      ? 'no workers yet'
      : `${plural(workers.length, 'worker')} known, ${failed} failed${stopped}`;
  const words = [
    `TRAINGUARD_URL=${shellWord(url)}`,
    `TRAINGUARD_TOKEN_FILE=${shellWord(tokenFile)}`,
    ...(caFile === undefined ? [] : [`TRAINGUARD_CA=${shellWord(caFile)}`]),
  ];
  const off = 'monitoring was stopped and stays so until PUT /v1/monitoring {"monitoring": true}';
  return [
    { tone: 'start', text: `serving at ${url} (${known})` },
    { tone: 'detail', text: `token: ${tokenFile}` },
    { tone: 'detail', text: `workers find it by ${words.join(' ')}` },
    { tone: 'detail', text: `all is kept in ${dir}; Ctrl-C stops it` },
    ...(manager.monitoring ? [] : [{ tone: 'warning', text: off } as const]),
  ];
}

/** @returns ends it */
function tellOfWorkers({ manager }: Service, output: Output): () => void {
  const lines = new WorkerLines((workerId) => manager.maxFailuresOf(workerId));
  const timer = setInterval(() => output.say(lines.flush()), stretchMs);
  manager.on('event', (event) => output.say(lines.add(event)));
  return () => {
    clearInterval(timer);
    output.say(lines.flush());
  };
}
