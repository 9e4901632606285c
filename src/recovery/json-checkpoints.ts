import { constants } from 'node:buffer';
import fs from 'node:fs/promises';
import path from 'node:path';
import { files, syncDir } from '../util/os/durable.js';
import { makeDirs } from '../util/os/make-dirs.js';
import { ok, type Result } from '../util/result.js';
import { DamagedCheckpointsError, KnownCheckpoints } from './json-checkpoints-known.js';
import { type CheckpointName, folderOf, newestFirst, nextName } from './json-checkpoints-names.js';
import { namesIn, verify, type Verified } from './json-checkpoints-read.js';
import {
  BodyError,
  diskProblem,
  removeQuietly,
  type SaveProblem,
  type StreamLimits,
  sweep,
  writeBody,
  type Written,
} from './json-checkpoints-write.js';
import { stateToJson } from './json-text.js';
import { Slots } from './slots.js';
import type { SavedCheckpoint } from './types.js';
import { checkWorkerId } from './worker-id.js';

export type { SaveProblem, StreamLimits } from './json-checkpoints-write.js';

export interface JsonCheckpointsOptions {
  /** One folder a worker is made in it, 0700, at its first save. */
  readonly dir: string;
  /** How many of each worker are kept, from 1 on. */
  readonly keep: number;
  /** Ms since 1970. */
  readonly now?: () => number;
  /** Hears once of each damaged checkpoint that was passed over: one sentence. */
  readonly onNotice?: (message: string) => void;
}

/** A checkpoint that verified, as a stream. */
export interface OpenCheckpoint {
  readonly checkpoint: SavedCheckpoint;
  /** Can be read once. Closes the file at its end, or when it is left early. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** For who does not read `bytes` after all. */
  close(): Promise<void>;
}

/**
 * The states that workers save, as JSON files that any program can read:
 * `<dir>/<worker>/20261122T113318.123Z-000042.<SHA-256>.json`. A save answers when its file is on the disk under its
 * name. Several processes may save to the same folder: names are unique, and the later name wins.
 */
export class JsonCheckpoints {
  readonly #dir: string;
  readonly #keep: number;
  readonly #now: () => number;
  readonly #onNotice: (message: string) => void;
  /** A descriptor each: saves of 10,000 workers at once need not have as many. */
  readonly #slots = new Slots(256);
  readonly #workers = new Map<string, KnownCheckpoints>();

  constructor({ dir, keep, now = Date.now, onNotice = () => undefined }: JsonCheckpointsOptions) {
    this.#dir = path.resolve(dir);
    this.#keep = keep;
    this.#now = now;
    this.#onNotice = onNotice;
  }

  /**
   * Saves a state as it is now: what becomes of it after the call does not matter. Saves of a worker that are not waited
   * for keep their order.
   * @throws TypeError for null, and for what JSON cannot hold, with its path; Error with `code` where the disk refuses it
   */
  async save(workerId: string, state: unknown): Promise<SavedCheckpoint> {
    const json = Buffer.from(textOf(state));
    const save = async (): Promise<Result<SavedCheckpoint, SaveProblem>> => {
      const written = await this.#write(workerId, oneChunk(json), { maxBytes: json.length });
      return written.ok ? await this.#commit(workerId, written.value) : written;
    };
    const saved = await this.#inTurn(workerId, () => this.#slots.run(save));
    if (saved.ok) return saved.value;
    const { message, code } = saved.error;
    throw Object.assign(new Error(message), { code });
  }

  /**
   * Saves a state's JSON while it comes in, never holding it whole. A key that an object bears twice is let pass, as JSON
   * lets it: the last one counts.
   * @throws what the body throws; nothing of it is left then
   */
  async saveStream(
    workerId: string,
    body: AsyncIterable<Uint8Array>,
    limits: StreamLimits,
  ): Promise<Result<SavedCheckpoint, SaveProblem>> {
    const written = await this.#write(workerId, body, limits);
    if (!written.ok) return written;
    return this.#inTurn(workerId, () => this.#commit(workerId, written.value));
  }

  /**
   * The newest state that verifies; null: there is no checkpoint. Damaged ones are passed over, and stay.
   * @throws DamagedCheckpointsError where all are damaged: only a person may decide to begin anew
   */
  async load(workerId: string): Promise<{ state: unknown; checkpoint: SavedCheckpoint } | null> {
    return this.#slots.run(async () => {
      const opened = await this.open(workerId);
      if (!opened) return null;
      const blocks: Uint8Array[] = [];
      for await (const block of opened.bytes) blocks.push(block);
      const state: unknown = JSON.parse(Buffer.concat(blocks).toString());
      return { state, checkpoint: opened.checkpoint };
    });
  }

  /**
   * As {@link load}, as a stream.
   * @param before only those that are older than the one of this name
   */
  async open(workerId: string, before?: string): Promise<OpenCheckpoint | null> {
    const folder = this.#folder(workerId);
    const passed = new Set<string>();
    const damaged: string[] = [];
    for (;;) {
      // read again each time: what is gone was replaced by newer ones
      const name = newestFirst(await namesIn(folder)).find(
        (one) => !passed.has(one.name) && (before === undefined || one.name < before),
      );
      if (!name && damaged.length === 0) return null;
      const older = before === undefined ? '' : ` before ${before}`;
      if (!name) throw new DamagedCheckpointsError(`of ${workerId} in ${folder}${older}`, damaged);
      const file = path.join(folder, name.name);
      const seen = await verify(file, name.sha256);
      if (seen.type === 'verified') return this.#opened(workerId, file, name, seen);
      passed.add(name.name);
      if (seen.type !== 'damaged') continue;
      this.#known(workerId).noteDamaged(file, seen.why);
      damaged.push(seen.why);
    }
  }

  /** Path of the newest, by its name alone. */
  async newest(workerId: string): Promise<string | null> {
    const folder = this.#folder(workerId);
    const [newest] = newestFirst(await namesIn(folder));
    return newest ? path.join(folder, newest.name) : null;
  }

  #opened(workerId: string, file: string, name: CheckpointName, seen: Verified): OpenCheckpoint {
    this.#known(workerId).noteGood(name.name);
    const checkpoint = { path: file, savedAt: name.savedAt, bytes: seen.bytes, sha256: name.sha256 };
    return { checkpoint, bytes: seen.read(), close: () => seen.close() };
  }

  async #write(
    workerId: string,
    body: AsyncIterable<Uint8Array>,
    limits: StreamLimits,
  ): Promise<Result<Written, SaveProblem>> {
    const folder = this.#folder(workerId);
    const known = this.#known(workerId);
    try {
      const made = await makeDirs(folder, 0o700);
      if (made !== undefined) await syncAbove(folder, made);
      if (!known.swept) await sweep(folder, await fs.readdir(folder));
      known.swept = true;
      return await writeBody(folder, body, limits);
    } catch (error) {
      if (error instanceof BodyError) throw error.cause;
      return { ok: false, error: diskProblem(workerId, folder, error) };
    }
  }

  /** Gives a written state the name by which it counts, and lets the oldest go. */
  async #commit(
    workerId: string,
    { file, bytes, sha256 }: Written,
  ): Promise<Result<SavedCheckpoint, SaveProblem>> {
    const folder = this.#folder(workerId);
    const known = this.#known(workerId);
    let target: string | undefined;
    try {
      const before = newestFirst(await namesIn(folder));
      const name = nextName(before[0], this.#now(), sha256);
      target = path.join(folder, name.name);
      await files.rename(file, target);
      await syncDir(folder);
      known.noteGood(name.name);
      await known.prune(folder, [name, ...before], this.#keep);
      return ok({ path: target, savedAt: name.savedAt, bytes, sha256 });
    } catch (error) {
      await removeQuietly(file);
      // what is refused must not be loaded later
      if (target !== undefined) await removeQuietly(target);
      return { ok: false, error: diskProblem(workerId, folder, error) };
    }
  }

  /** @throws RangeError for what cannot be a worker's id, and so might leave `dir` */
  #folder(workerId: string): string {
    const checked = checkWorkerId(workerId);
    if (!checked.ok) throw new RangeError(checked.error.message);
    return path.join(this.#dir, folderOf(workerId));
  }

  #known(workerId: string): KnownCheckpoints {
    let known = this.#workers.get(workerId);
    if (!known) {
      known = new KnownCheckpoints(this.#onNotice);
      this.#workers.set(workerId, known);
    }
    return known;
  }

  #inTurn<T>(workerId: string, work: () => Promise<T>): Promise<T> {
    const known = this.#known(workerId);
    const turn = known.turn.then(work);
    known.turn = turn.catch(() => undefined);
    return turn;
  }
}

/** Makes the new folders from `topmost` down to `folder` survive a power cut. */
async function syncAbove(folder: string, topmost: string): Promise<void> {
  for (let at = folder; at.length >= topmost.length; at = path.dirname(at)) await syncDir(path.dirname(at));
}

/** @throws RangeError where the text is longer than a string may be */
function textOf(state: unknown): string {
  try {
    return stateToJson(state);
  } catch (error) {
    if (!(error instanceof RangeError && /string length/.test(error.message))) throw error;
    const most = constants.MAX_STRING_LENGTH / 1024 / 1024;
    const text = `the state is longer than ${Math.floor(most)} MiB as JSON; save large arrays in files of their own, and their paths in the state`;
    throw new RangeError(text, { cause: error });
  }
}

// eslint-disable-next-line @typescript-eslint/require-await -- there is nothing to wait for
async function* oneChunk(chunk: Uint8Array): AsyncGenerator<Uint8Array> {
  yield chunk;
}
