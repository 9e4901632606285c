import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode, files } from '../util/os/durable.js';
import { ok, type Result } from '../util/result.js';
import { refused } from './problems.js';
import { readVersioned, writeVersioned } from './versioned-file.js';

/** Somebody wants the run to stop; from any host that sees its folder. */
export interface StopRequest {
  /** Who asks, for the record: `pid 12 on host a`. */
  readonly by: string;
  /** Stop once the next checkpoint is complete. */
  readonly afterCheckpoint: boolean;
  /** ms since 1970. */
  readonly at: number;
}

/** Leaves `requests/stop` for the run's supervisor. A later request replaces an earlier one. */
export async function requestStop(runDir: string, request: StopRequest): Promise<Result<void>> {
  const folder = path.join(runDir, 'requests');
  try {
    await files.mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    return refused(`make ${folder}`, error);
  }
  return writeVersioned(path.join(folder, 'stop'), request);
}

/**
 * Takes the stop request there is, so that it is answered once; undefined: there is none. Cheap enough to be asked
 * every second. A file that is no request of ours (`touch requests/stop`) still means stop.
 */
export async function takeStopRequest(runDir: string, now: number): Promise<Result<StopRequest | undefined>> {
  const folder = path.join(runDir, 'requests');
  const taken = path.join(folder, `.stop-${randomBytes(4).toString('hex')}`);
  try {
    // renamed before it is read, so that one that comes meanwhile is not lost
    await files.rename(path.join(folder, 'stop'), taken);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return ok(undefined);
    return refused(`take the request in ${folder}`, error);
  }
  const read = await readVersioned<StopRequest>(taken, '');
  try {
    await files.unlink(taken);
  } catch (error) {
    // a request that was taken is answered; the file goes with clearRequests
    if (errorCode(error) === undefined) throw error;
  }
  const { by, afterCheckpoint, at }: Partial<Record<keyof StopRequest, unknown>> =
    (read.ok && read.value) || {};
  return ok({
    by: typeof by === 'string' ? by.slice(0, 200) : 'a file without a name',
    afterCheckpoint: afterCheckpoint === true,
    at: typeof at === 'number' ? at : now,
  });
}

/** The requests that there are, half-taken ones too: name → what tells the file from any later one. */
export type Requests = ReadonlyMap<string, string>;

export async function listRequests(runDir: string): Promise<Result<Requests>> {
  const folder = path.join(runDir, 'requests');
  const found = new Map<string, string>();
  try {
    for (const name of await fs.readdir(folder)) {
      const identity = /^\.?stop/.test(name) ? await identityOf(path.join(folder, name)) : undefined;
      if (identity !== undefined) found.set(name, identity);
    }
    return ok(found);
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? ok(found) : refused(`read ${folder}`, error);
  }
}

/**
 * Forgets requests from before this supervisor; called before the first attempt.
 * @param old listed before it showed itself at the run's lock: whoever asks from then on may mean us
 */
export async function clearRequests(runDir: string, old: Requests): Promise<Result<void>> {
  const folder = path.join(runDir, 'requests');
  try {
    for (const [name, identity] of old) {
      const file = path.join(folder, name);
      if ((await identityOf(file)) === identity) await files.unlink(file);
    }
    return ok(undefined);
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? ok(undefined) : refused(`clear ${folder}`, error);
  }
}

async function identityOf(file: string): Promise<string | undefined> {
  try {
    const { ino, mtimeMs } = await fs.stat(file);
    return `${ino} ${mtimeMs}`;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
