import type { Announcer } from './announcer.js';
import { Commits } from './commits.js';
import type { RecoveryClock, RecoveryInternals, WorkerTimes } from './ports.js';
import { realClock } from './real-clock.js';
import { tickMs } from './watch-time.js';
import { type Now, type Outcome, WorkerTable } from './worker-table.js';

type Decide = (decide: (now: Now, table: WorkerTable) => Outcome) => Promise<Outcome>;

/** Keeps a table of workers going: each decision is written and told, and while there is a watch it ticks. */
export class Keeper {
  readonly table: WorkerTable;
  readonly #announcer: Announcer;
  readonly #commits: Commits;
  readonly #clock: RecoveryClock;
  /** Begun before `close`, which waits for it. */
  readonly #begun = new Set<Promise<unknown>>();
  #stopTicking: (() => void) | undefined;
  #closed = false;

  constructor(times: WorkerTimes, internals: RecoveryInternals, announcer: Announcer) {
    const { log, remembered, clock = realClock, patient } = internals;
    this.table = new WorkerTable(times, remembered, clock.mono(), patient);
    this.#announcer = announcer;
    this.#commits = new Commits(log, (event) => announcer.tell(event));
    this.#clock = clock;
    this.#keepTicking();
  }

  /**
   * Decides at once, so that calls at the same time are decided in their order; answers when it is written and told.
   * @param durable survives a power cut too
   */
  async do<T extends Outcome>(decide: (now: Now, table: WorkerTable) => T, durable = true): Promise<T> {
    this.checkOpen();
    return this.#do(decide, durable);
  }

  /** Work whose outcome is decided after it: what was begun before `close` is decided, written and told all the same. */
  async begin<T>(work: (decide: Decide) => Promise<T>): Promise<T> {
    this.checkOpen();
    const done = work((decide) => this.#do(decide, true));
    this.#begun.add(done);
    try {
      return await done;
    } finally {
      this.#begun.delete(done);
    }
  }

  /** @throws Error once it is closed */
  checkOpen(): void {
    if (this.#closed) throw new Error('this RecoveryManager was closed');
  }

  async #do<T extends Outcome>(decide: (now: Now, table: WorkerTable) => T, durable: boolean): Promise<T> {
    const outcome = decide({ at: this.#clock.now(), mono: this.#clock.mono() }, this.table);
    this.#keepTicking();
    await this.#commits.commit(outcome, durable);
    return outcome;
  }

  /** Nothing is begun any more; settles when what was begun and decided is written and told. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#keepTicking();
    await Promise.allSettled(this.#begun);
    await this.#commits.settled();
    this.#announcer.end();
  }

  /** One timer for all workers. */
  #keepTicking(): void {
    if (!this.table.monitoring || this.#closed) {
      this.#stopTicking?.();
      this.#stopTicking = undefined;
      return;
    }
    this.#stopTicking ??= this.#clock.after(tickMs, () => {
      this.#stopTicking = undefined;
      this.do((now, table) => table.tick(now)).catch(this.#announcer.problem);
    });
  }
}
