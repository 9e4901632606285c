import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import {
  errorCode,
  files,
  sweepTemporaries,
  syncDir,
  writeFileAtomic,
  writeFully,
} from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { type JournalContent, parseJournal, type ReadOptions } from './journal-content.js';
import { encodeLine } from './journal-line.js';
import { refused } from './problems.js';
import { freeName } from './versioned-file.js';

export interface JournalOptions extends ReadOptions {
  /** The file was deleted under us. It is put back when this settles; the folder may be made again here. */
  readonly onDeleted?: () => Promise<Result<void>>;
  /** The number of the last entry of the journal that this one follows. */
  readonly after?: number;
}

/** Reads a journal and changes nothing; a missing one is empty. Damage before its torn end is a Problem (exit 125). */
export async function readJournal<T>(
  file: string,
  options: ReadOptions = {},
): Promise<Result<JournalContent<T>>> {
  try {
    return parseJournal<T>(file, await fs.readFile(file), options);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return ok({ entries: [], torn: Buffer.alloc(0), size: 0, last: 0 });
    return refused(`read the journal ${file}`, error);
  }
}

/**
 * Every event that changed a decision, in order. What `append` answered ok survives a power cut; what it refused is
 * not in the file. One writer at a time: the run's lock sees to that. Entries are numbered from 1, through
 * compactions too, so that whoever remembers the last number knows when a journal has become shorter.
 */
export class Journal<T> {
  readonly file: string;
  #handle: fs.FileHandle;
  readonly #onDeleted: JournalOptions['onDeleted'];
  #size: number;
  #last: number;
  /** Bytes beyond `#size` may be left of an append that failed. */
  #dirty = false;
  #closed = false;
  /** What the file holds if a compaction that failed got as far as replacing it. */
  #maybe: { readonly size: number; readonly last: number } | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(
    file: string,
    handle: fs.FileHandle,
    { size, last }: JournalContent<T>,
    { onDeleted, after = 0 }: JournalOptions,
  ) {
    this.file = file;
    this.#handle = handle;
    this.#size = size;
    this.#last = size === 0 ? after : last;
    this.#onDeleted = onDeleted;
  }

  /**
   * Opens or makes a journal. A torn end is cut off, its text kept beside it in `journal.torn-N`. Half-written
   * files of a supervisor that was killed go from its folder, which is ours alone.
   * @returns `torn`: where the torn end is kept
   */
  static async open<T>(
    file: string,
    options: JournalOptions = {},
  ): Promise<Result<{ entries: T[]; journal: Journal<T>; torn?: string }>> {
    const read = await readJournal<T>(file, options);
    if (!read.ok) return read;
    const { entries, torn } = read.value;
    try {
      // whoever goes on from another journal is at work in the folder already
      if (options.after === undefined) await sweepTemporaries(path.dirname(file));
      const kept = torn.length > 0 ? await freeName(file.replace(/(\.jsonl)?$/, '.torn')) : undefined;
      if (kept !== undefined) await writeFileAtomic(kept, torn);
      const handle = await files.open(file, constants.O_RDWR | constants.O_CREAT, 0o600);
      const journal = new Journal<T>(file, handle, read.value, options);
      try {
        if (kept !== undefined) await journal.#cutBack();
        await syncDir(path.dirname(file));
      } catch (error) {
        await handle.close();
        throw error;
      }
      return ok({ entries, journal, ...(kept !== undefined && { torn: kept }) });
    } catch (error) {
      return refused(`open the journal ${file}`, error);
    }
  }

  /** The number of the last entry that is on the disk; 0: there is none. */
  get last(): number {
    return this.#last;
  }

  /** Length of what counts, bytes. */
  get size(): number {
    return this.#size;
  }

  /**
   * Writes all of `events` at once and waits until they are on the disk; on a Problem none of them is in the file. If
   * the file was deleted it is put back first, also for no events.
   * @param durable false: it need only survive this process; {@link sync} makes it survive a power cut
   */
  append(events: readonly T[], durable = true): Promise<Result<void>> {
    return this.#inTurn(async () => {
      let bytes: Buffer;
      try {
        await this.#settle();
        const there = await this.#putBack();
        if (!there.ok || events.length === 0) return there;
        const first = this.#size === 0 && this.#last > 0 ? 0 : undefined;
        const lines = events.map((event, i) => encodeLine(this.#last + i + 1, event, i === first));
        bytes = Buffer.from(lines.join(''));
        if (this.#dirty) await this.#cutBack();
        await writeFully(this.#handle, bytes, this.#size);
        if (durable) await this.#handle.sync();
      } catch (error) {
        this.#dirty = true;
        await this.#cutBack().catch((cutError: unknown) => {
          // it is tried again before the next append; until then a reader drops it as a torn line
          if (errorCode(cutError) === undefined) throw cutError;
        });
        return refused(`write to the journal ${this.file}`, error);
      }
      this.#size += bytes.length;
      this.#last += events.length;
      return ok(undefined);
    });
  }

  /** Makes all that was appended survive a power cut. */
  sync(): Promise<Result<void>> {
    const failed = (error: unknown): Result<void> => refused(`write to the journal ${this.file}`, error);
    return this.#inTurn(() => this.#handle.sync().then(ok, failed));
  }

  /**
   * Replaces the whole journal by these entries, of which the first stands for all there were, or leaves it as it is.
   * @param known the last entry's number that somebody remembers, if that is later than ours
   */
  compact(events: readonly [T, ...T[]], known = 0): Promise<Result<void>> {
    return this.#inTurn(async () => {
      try {
        await this.#settle();
        const before = Math.max(this.#last, known);
        const lines = events.map((event, i) => encodeLine(before + i + 1, event, i === 0));
        const bytes = Buffer.from(lines.join(''));
        this.#maybe = { size: bytes.length, last: before + events.length };
        await writeFileAtomic(this.file, bytes);
        await this.#settle();
        return ok(undefined);
      } catch (error) {
        return refused(`compact the journal ${this.file}`, error);
      }
    });
  }

  /**
   * Puts an entry that stands for all up to number `last` in the place of a journal that ends before that; what is
   * left of that one is kept in `journal.jsonl.damaged-N`.
   * @returns where; undefined: nothing was left
   */
  async restore(event: T, last: number): Promise<Result<string | undefined>> {
    try {
      const left = await fs.readFile(this.file);
      const aside = left.length > 0 ? await freeName(`${this.file}.damaged`) : undefined;
      if (aside !== undefined) await writeFileAtomic(aside, left);
      const done = await this.compact([event], last);
      return done.ok ? ok(aside) : done;
    } catch (error) {
      return refused(`keep what is left of the journal ${this.file}`, error);
    }
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
    let handle: fs.FileHandle;
    try {
      handle = await files.open(this.file, constants.O_RDWR);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
      this.#maybe = undefined; // what was to bear the name is not there: ours is still the journal
      return;
    }
    const [now, before] = await Promise.all([handle.stat(), this.#handle.stat()]);
    const old = now.ino === before.ino ? handle : this.#handle;
    if (now.ino !== before.ino) {
      this.#handle = handle;
      this.#size = this.#maybe.size;
      this.#last = this.#maybe.last;
      this.#dirty = false;
    }
    this.#maybe = undefined;
    await old.close();
  }

  /** A journal that was deleted lives on in our handle, and nowhere else. */
  async #putBack(): Promise<Result<void>> {
    if ((await this.#handle.stat()).nlink > 0) return ok(undefined);
    const made = (await this.#onDeleted?.()) ?? ok(undefined);
    if (!made.ok) return made;
    try {
      await fs.lstat(this.file);
      const text = `the journal ${this.file} was replaced by another file; nothing was changed, move that file away`;
      return fail(text, exitStatus.internal);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
    }
    const bytes = Buffer.alloc(this.#size);
    await this.#handle.read(bytes, 0, bytes.length, 0);
    this.#maybe = { size: this.#size, last: this.#last };
    await writeFileAtomic(this.file, bytes);
    await this.#settle();
    return ok(undefined);
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
