import { AsyncLocalStorage } from 'node:async_hooks';
import type { Remembered, WorkerChange, WorkerLog } from '../recovery/ports.js';
import { sweepTemporaries } from '../util/os/durable.js';
import { ok, ProblemError, type Result } from '../util/result.js';
import { type Answer, idOf, type KeyedRequest, type KeptAnswer } from './answers.js';
import { Append, GroupCommit } from './group-commit.js';
import { seldom } from './seldom.js';
import { Backlog } from './worker-journal-backlog.js';
import { filesIn, openFiles } from './worker-journal-open.js';
import { WorkerJournalStore } from './worker-journal-store.js';

export interface WorkerJournalOptions {
  /** Size of the journal, bytes, from which on it is folded into `state.json`; 8 MiB unless given. */
  readonly compactAt?: number;
  /** Ms since 1970. */
  readonly now?: () => number;
  /** Hears, in one sentence, what went wrong and is tried again. */
  readonly onNotice?: (message: string) => void;
}

/** What came of a request that can be sent again. */
export type Once =
  | { readonly type: 'first' | 'replayed'; readonly answer: Answer }
  /** The key was used with another body. */
  | { readonly type: 'other-body' };

type Digest = () => string | undefined | Promise<string | undefined>;

/** What is done for one request. */
interface UnderWay {
  readonly appends: Append[];
  answered: boolean;
}

/**
 * Opens what `trainguard serve` remembers of workers and requests, or begins it, in a folder that is there and in which no
 * other process is at work.
 * @returns damage is a Problem (exit 125) with the way out; what the system refuses one with exit 78
 */
export async function openWorkerJournal(
  dir: string,
  { compactAt = 8 * 1024 * 1024, now = Date.now, onNotice = () => undefined }: WorkerJournalOptions = {},
): Promise<Result<WorkerJournal>> {
  const names = filesIn(dir);
  const opened = await openFiles(names);
  if (!opened.ok) return opened;
  // of a life that was killed; after the state could be read, for damage changes nothing
  await sweepTemporaries(dir);
  for (const kept of opened.value.torn)
    onNotice(
      `the journal of the workers ended amid a line, as a crash leaves it; that end is kept in ${kept}, and nothing that was acknowledged as durable is in it`,
    );
  return ok(
    new WorkerJournal(new WorkerJournalStore(names, opened.value, compactAt, onNotice), now, onNotice),
  );
}

/** The durable log of the table of workers, and of the answers to requests that may be sent again. */
export class WorkerJournal implements WorkerLog {
  /** What it held when it was opened; where it began, that the workers are watched. */
  readonly remembered: Remembered;
  readonly #store: WorkerJournalStore;
  readonly #now: () => number;
  readonly #commit: GroupCommit;
  readonly #backlog = new Backlog();
  readonly #tellSeldom: (kind: string, text: string) => void;
  readonly #underWay = new AsyncLocalStorage<UnderWay>();
  /** By request: settles when its answer is kept, or there is none; and what may hasten that. */
  readonly #answering = new Map<string, { readonly done: Promise<unknown>; readonly hasten: () => void }>();
  #closed = false;

  constructor(store: WorkerJournalStore, now: () => number, onNotice: (message: string) => void) {
    this.#store = store;
    this.#now = now;
    this.#tellSeldom = seldom(onNotice);
    this.#commit = new GroupCommit((group) => this.#write(group));
    this.remembered = store.image.remembered;
  }

  /**
   * @inheritdoc
   * What the disk refuses is kept in memory and goes there with whatever is written next; for what is not durable that
   * is enough, and a notice is given. Inside the work of {@link once} it settles at once: the answer to the request
   * waits for the disk instead.
   */
  async append(changes: readonly WorkerChange[], durable: boolean): Promise<void> {
    if (this.#closed) throw new Error('the journal of workers is closed');
    if (changes.length === 0) return;
    const request = this.#underWay.getStore();
    if (request && !request.answered) {
      this.#appendOf(request, true).changes.push(...changes);
      return;
    }
    const append = new Append(false);
    append.changes.push(...changes);
    append.durable = durable;
    this.#commit.add(append);
    await append.written.catch((error: unknown) => {
      if (durable || !(error instanceof ProblemError)) throw error;
      this.#tellSeldom(
        'heartbeats',
        `${error.message}; heartbeats count all the same, and are written later`,
      );
    });
  }

  /**
   * Answers a request once, however often it is sent: what `work` appends and its answer go to disk in one piece, so that
   * neither is there without the other. Where the disk refuses them both stay in memory: the same request sent again waits
   * for that write, and does nothing anew. Of two at the same time the second waits for the first, and has it hastened.
   * @param digest of the request's body; undefined: it was not whole. Called after `work`, or in its place
   * @param work its answer is kept if its status is under 300: after an error the request may be tried again
   * @param hasten called when the same request comes again: who sent the first may be gone
   * @throws what `work` throws, no answer is kept then; or that the disk refuses it
   */
  async once(
    request: KeyedRequest,
    digest: Digest,
    work: () => Promise<Answer>,
    hasten: () => void = () => undefined,
  ): Promise<Once> {
    const id = idOf(request);
    for (let other = this.#answering.get(id); other; other = this.#answering.get(id)) {
      other.hasten();
      await other.done;
    }
    const written = this.#store.image.answers.get(request, this.#now());
    const kept = written ?? this.#backlog.answers.get(request, this.#now());
    if (kept) {
      if ((await digest()) !== kept.digest) return { type: 'other-body' };
      if (!written) await this.#writeBacklog();
      const { status, headers, body } = kept;
      return { type: 'replayed', answer: { status, headers, body } };
    }
    const first = this.#answer(request, digest, work);
    const forget = (): unknown => this.#answering.delete(id);
    this.#answering.set(id, { done: first.then(forget, forget), hasten });
    return { type: 'first', answer: await first };
  }

  /** Writes what is waiting, and closes the files. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#commit.idle();
    await this.#writeBacklog().catch((error: unknown) => {
      if (!(error instanceof ProblemError)) throw error;
      this.#tellSeldom('close', `${error.message}; what it held back until now is lost`);
    });
    await this.#store.close();
  }

  async #write(group: readonly Append[]): Promise<void> {
    const late = this.#backlog.isEmpty ? [] : this.#backlog.batch();
    try {
      await this.#store.write([...late, ...group], late.length > 0 || group.some(({ durable }) => durable));
    } catch (error) {
      this.#backlog.add(group, (workerId) => this.#store.image.rows.has(workerId));
      throw error;
    }
    this.#backlog.clear();
  }

  async #writeBacklog(): Promise<void> {
    if (this.#backlog.isEmpty) return;
    const append = new Append(false);
    append.durable = true;
    this.#commit.add(append);
    await append.written;
  }

  async #answer(named: KeyedRequest, digest: Digest, work: () => Promise<Answer>): Promise<Answer> {
    const request: UnderWay = { appends: [], answered: false };
    try {
      const answer = await this.#underWay.run(request, work);
      const whole = answer.status < 300 ? await digest() : undefined;
      if (whole !== undefined) this.#keep(request, { ...named, ...answer, digest: whole, at: this.#now() });
      return answer;
    } finally {
      request.answered = true;
      for (const append of request.appends) append.close();
      await Promise.all(request.appends.map(({ written }) => written));
    }
  }

  /** Has an answer go to disk with what was done for it, or after it if that is on its way already. */
  #keep(request: UnderWay, answer: KeptAnswer): void {
    this.#appendOf(request, false).answer = answer;
  }

  /** What is still to be written for a request. */
  #appendOf({ appends }: UnderWay, open: boolean): Append {
    const last = appends.at(-1);
    if (last && !last.taken) return last;
    const append = new Append(open);
    append.durable = true;
    appends.push(append);
    this.#commit.add(append);
    return append;
  }
}
