import type { Announcer } from './announcer.js';
import { Commits } from './commits.js';
import type { RecoveryClock, RecoveryInternals, WorkerTimes } from './ports.js';
import { realClock } from './real-clock.js';
import { tickMs } from './watch-time.js';
import { type Now, type Outcome, WorkerTable } from './worker-table.js';

/** Keeps a table of workers going: each decision is written and told, and while there is a watch it ticks. */
export class Keeper {
  readonly table: WorkerTable;
  readonly #announcer: Announcer;
  readonly #commits: Commits;
  readonly #clock: RecoveryClock;
  #stopTicking: (() => void) | undefined;
  #closed = false;

  constructor(times: WorkerTimes, internals: RecoveryInternals, announcer: Announcer) {
    const { log, remembered, clock = realClock } = internals;
    this.table = new WorkerTable(times, remembered, clock.mono());
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
    if (this.#closed) throw new Error('this RecoveryManager was closed');
    const outcome = decide({ at: this.#clock.now(), mono: this.#clock.mono() }, this.table);
    this.#keepTicking();
    await this.#commits.commit(outcome, durable);
    return outcome;
  }

  /** Nothing is decided any more; settles when what was decided is written and told. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#keepTicking();
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
