import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode, files, syncDir, writeFileAtomic, writeFully } from '../util/os/durable.js';
import { ok, type Result } from '../util/result.js';
import { decodeLine, encodeLine } from './journal-line.js';
import { damaged, refused, tooNew } from './problems.js';
import { freeName, schemaVersion } from './versioned-file.js';

export interface JournalContent<T> {
  readonly entries: T[];
  /** The end of a last line that was cut off by a crash; it never counted. */
  readonly torn: Buffer;
  /** Length of what counts, bytes. */
  readonly size: number;
}

/** Reads a journal and changes nothing; a missing one is empty. Damage before the last line is a Problem (exit 125). */
export async function readJournal<T>(file: string): Promise<Result<JournalContent<T>>> {
  try {
    return parse<T>(file, await fs.readFile(file));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return ok({ entries: [], torn: Buffer.alloc(0), size: 0 });
    return refused(`read the journal ${file}`, error);
  }
}

/**
 * Every event that changed a decision, in order. What `append` answered ok survives a power cut; what it refused is
 * not in the file. One writer at a time: the run's lock sees to that.
 */
export class Journal<T> {
  readonly file: string;
  #handle: fs.FileHandle;
  #size: number;
  #count: number;
  /** Bytes beyond `#size` may be left of an append that failed. */
  #dirty = false;
  #closed = false;
  /** What the file holds if a compaction that failed got as far as replacing it. */
  #maybe: { readonly size: number; readonly count: number } | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(file: string, handle: fs.FileHandle, size: number, count: number) {
    this.file = file;
    this.#handle = handle;
    this.#size = size;
    this.#count = count;
  }

  /** Opens or makes a journal. A torn last line is cut off, its text kept beside it in `journal.torn-N`. */
  static async open<T>(file: string): Promise<Result<{ entries: T[]; journal: Journal<T> }>> {
    const read = await readJournal<T>(file);
    if (!read.ok) return read;
    const { entries, torn, size } = read.value;
    try {
      if (torn.length > 0) await writeFileAtomic(await freeName(file.replace(/(\.jsonl)?$/, '.torn')), torn);
      const handle = await files.open(file, constants.O_RDWR | constants.O_CREAT, 0o600);
      const journal = new Journal<T>(file, handle, size, entries.length);
      try {
        if (torn.length > 0) await journal.#cutBack();
        await syncDir(path.dirname(file));
      } catch (error) {
        await handle.close();
        throw error;
      }
      return ok({ entries, journal });
    } catch (error) {
      return refused(`open the journal ${file}`, error);
    }
  }

  /** Entries in the file. */
  get count(): number {
    return this.#count;
  }

  /** Length of the file, bytes. */
  get size(): number {
    return this.#size;
  }

  /** Writes all of `events` at once and waits until they are on the disk; on a Problem none of them is in the file. */
  append(events: readonly T[]): Promise<Result<void>> {
    return this.#inTurn(async () => {
      if (events.length === 0) return ok(undefined);
      let bytes: Buffer;
      try {
        await this.#settle();
        bytes = Buffer.from(events.map((event, i) => encodeLine(this.#count + i + 1, event)).join(''));
        if (this.#dirty) await this.#cutBack();
        await writeFully(this.#handle, bytes, this.#size);
        await this.#handle.sync();
      } catch (error) {
        this.#dirty = true;
        await this.#cutBack().catch((cutError: unknown) => {
          // it is tried again before the next append; until then a reader drops it as a torn line
          if (errorCode(cutError) === undefined) throw cutError;
        });
        return refused(`write to the journal ${this.file}`, error);
      }
      this.#size += bytes.length;
      this.#count += events.length;
      return ok(undefined);
    });
  }

  /** Replaces the whole journal by these entries, or leaves it as it is. */
  compact(events: readonly T[]): Promise<Result<void>> {
    return this.#inTurn(async () => {
      const bytes = Buffer.from(events.map((event, i) => encodeLine(i + 1, event)).join(''));
      try {
        await this.#settle();
        this.#maybe = { size: bytes.length, count: events.length };
        await writeFileAtomic(this.file, bytes);
        await this.#settle();
        return ok(undefined);
      } catch (error) {
        return refused(`compact the journal ${this.file}`, error);
      }
    });
  }

  /** Closes the file; calling it twice does nothing. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#closed) await this.#handle.close();
      this.#closed = true;
    });
  }

  /** After a compaction: the handle must be the file that now bears the name, or appends would go nowhere. */
  async #settle(): Promise<void> {
    if (!this.#maybe) return;
    const handle = await files.open(this.file, constants.O_RDWR);
    const [now, before] = await Promise.all([handle.stat(), this.#handle.stat()]);
    const old = now.ino === before.ino ? handle : this.#handle;
    if (now.ino !== before.ino) {
      this.#handle = handle;
      this.#size = this.#maybe.size;
      this.#count = this.#maybe.count;
      this.#dirty = false;
    }
    this.#maybe = undefined;
    await old.close();
  }

  async #cutBack(): Promise<void> {
    await this.#handle.truncate(this.#size);
    await this.#handle.sync();
    this.#dirty = false;
  }

  #inTurn<R>(work: () => Promise<R>): Promise<R> {
    const turn = this.#queue.then(work);
    this.#queue = turn.catch(() => undefined);
    return turn;
  }
}

function parse<T>(file: string, bytes: Buffer): Result<JournalContent<T>> {
  const entries: T[] = [];
  let start = 0;
  for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
    const line = decodeLine(bytes.subarray(start, end), entries.length + 1);
    if (line.type === 'newer') return tooNew(`the journal ${file}`, line.version, schemaVersion);
    if (line.type === 'bad') {
      return damaged(
        `the journal ${file}`,
        `line ${entries.length + 1}: ${line.why}`,
        `move it away to begin a new one (the run's checkpoints and logs stay as they are)`,
      );
    }
    entries.push(line.event as T);
    start = end + 1;
  }
  return ok({ entries, torn: bytes.subarray(start), size: start });
}
