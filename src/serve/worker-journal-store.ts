import { existsSync } from 'node:fs';
import path from 'node:path';
import { Journal } from '../runs/journal.js';
import { errorCode, errorText, files, syncDir } from '../util/os/durable.js';
import { type Problem, ProblemError, type Result } from '../util/result.js';
import { type Changes, durableStep, type Step, type WorkerImage } from './worker-journal-image.js';
import { type JournalFiles, type Opened, reading } from './worker-journal-open.js';
import { writeSnapshot } from './worker-journal-snapshot.js';

/** A power cut costs so much of what need not survive one. */
const syncEveryMs = 1000;

/**
 * The files of a worker journal and what they come to. When `journal.jsonl` is long it becomes `journal.old.jsonl`, a new
 * one is begun, and all that is known goes to `state.json` while appends go on; the old journal is removed after that. One
 * write at a time.
 */
export class WorkerJournalStore {
  readonly image: WorkerImage;
  readonly #names: JournalFiles;
  readonly #compactAt: number;
  readonly #onNotice: (message: string) => void;
  #journal: Journal<Step[]>;
  /** Appends still go to the journal that bears the old name already. */
  #renamed = false;
  /** The old journal is not in `state.json` yet. */
  #unfinished: boolean;
  /** Size from which on the next compaction is tried. */
  #compactFrom: number;
  #compaction: Promise<void> | undefined;
  #syncTimer: NodeJS.Timeout | undefined;

  constructor(
    names: JournalFiles,
    { image, journal, unfinished }: Opened,
    compactAt: number,
    onNotice: (message: string) => void,
  ) {
    this.image = image;
    this.#names = names;
    this.#compactAt = compactAt;
    this.#onNotice = onNotice;
    this.#journal = journal;
    this.#unfinished = unfinished;
    this.#compactFrom = compactAt;
    if (unfinished) this.#beginFold();
  }

  /**
   * Writes all of a batch in one piece.
   * @param durable false: it need only survive this process; a second later it survives a power cut too
   * @throws JournalError, and nothing of it is written
   */
  async write(batch: readonly Changes[], durable: boolean): Promise<void> {
    const steps = this.image.encode(batch);
    if (steps.length === 0) return;
    unwrap(await this.#journal.append([durable ? [durableStep, ...steps] : steps], durable));
    this.image.apply(steps);
    if (!durable) this.#syncTimer ??= setTimeout(() => void this.#syncLater(), syncEveryMs).unref();
    if (this.#journal.size > this.#compactFrom && !this.#compaction) await this.#compact();
  }

  /** When nothing is being written any more. */
  async close(): Promise<void> {
    clearTimeout(this.#syncTimer);
    await this.#compaction;
    await this.#sync();
    await this.#closeFile(this.#journal);
  }

  /** Of what is synced nothing is lost by a close that fails. */
  async #closeFile(journal: Journal<Step[]>): Promise<void> {
    try {
      await journal.close();
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      this.#onNotice(`the journal of the workers could not be closed in order: ${errorText(error)}`);
    }
  }

  async #syncLater(): Promise<void> {
    this.#syncTimer = undefined;
    await this.#sync();
  }

  async #sync(): Promise<void> {
    const synced = await this.#journal.sync();
    if (!synced.ok) this.#onNotice(synced.error.message);
  }

  /** Begins a new journal, which takes a moment, and lets the snapshot come while appends go on. */
  async #compact(): Promise<void> {
    try {
      if (!this.#unfinished) await this.#rotate();
      this.#compactFrom = this.#compactAt;
      this.#beginFold();
    } catch (error) {
      this.#putOff('begin a new journal', error);
    }
  }

  async #rotate(): Promise<void> {
    const { journal, old } = this.#names;
    unwrap(await this.#journal.sync());
    // where the rest fails, appends go on where they went: an old journal without another is read like the only one
    if (!this.#renamed) await renameJournal(journal, old);
    this.#renamed = true;
    const next = unwrap(await Journal.open<Step[]>(journal, { ...reading, after: this.#journal.last }));
    const former = this.#journal;
    this.#journal = next.journal;
    this.#renamed = false;
    this.#unfinished = true;
    await this.#closeFile(former);
  }

  #beginFold(): void {
    this.#compaction = this.#fold()
      .catch((error: unknown) => this.#putOff(`write ${this.#names.state}`, error))
      .finally(() => (this.#compaction = undefined));
  }

  async #fold(): Promise<void> {
    const { last } = this.#journal;
    // the snapshot must not know of what a power cut could take from the journal
    unwrap(await this.#journal.sync());
    await writeSnapshot(this.#names.state, this.image, last);
    await files.rm(this.#names.old, { force: true });
    await syncDir(path.dirname(this.#names.old));
    this.#unfinished = false;
  }

  /** What failed is tried again when the journal has grown by as much once more: until then it holds all by itself. */
  #putOff(what: string, error: unknown): void {
    this.#compactFrom = this.#journal.size + this.#compactAt;
    const why = error instanceof ProblemError ? error.message : `cannot ${what}: ${errorText(error)}`;
    this.#onNotice(`${why}; it is tried again later`);
  }
}

async function renameJournal(journal: string, old: string): Promise<void> {
  try {
    await files.rename(journal, old);
  } catch (error) {
    // a network's file system may have done what it says has failed
    if (existsSync(journal) || !existsSync(old)) throw error;
  }
}

function unwrap<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new JournalError(result.error);
}

/** With the system's code, as errors of the file system bear it. */
class JournalError extends ProblemError {
  readonly code: string | undefined;

  constructor(problem: Problem) {
    super(problem);
    this.code = problem.code;
  }
}
