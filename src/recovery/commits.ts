import type { WorkerLog } from './ports.js';
import type { RecoveryEvent } from './types.js';
import type { Outcome } from './worker-table.js';

/**
 * What was decided is first kept in the log, then told, both in the order of the decisions. Where the log fails, the
 * caller's method fails with its error; what was decided stands in memory and is told all the same, for it happened.
 */
export class Commits {
  readonly #log: WorkerLog | undefined;
  readonly #tell: (event: RecoveryEvent) => void;
  /** Settles when everything before is written and told. */
  #turn: Promise<unknown> = Promise.resolve();
  #written: Promise<void> = Promise.resolve();

  constructor(log: WorkerLog | undefined, tell: (event: RecoveryEvent) => void) {
    this.#log = log;
    this.#tell = tell;
  }

  /**
   * To be called in the same breath as the decision.
   * @throws what the log threw
   */
  async commit({ changes, events }: Outcome, durable: boolean): Promise<void> {
    if (this.#log === undefined) {
      events.forEach(this.#tell);
      return;
    }
    const written = changes.length > 0 ? append(this.#log, changes, durable) : undefined;
    if (written) this.#written = written;
    // a heartbeat without news need not wait for a slower append before it; what changed nothing rests on those before
    if (events.length > 0 || !written) {
      this.#turn = Promise.allSettled([this.#turn, written]).then(() => events.forEach(this.#tell));
      await this.#turn;
    }
    await written;
  }

  /** Everything that was begun is written and told, or failed. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.#turn, this.#written]);
  }
}

/** A log that throws at once fails like one that throws later. */
const append = async (log: WorkerLog, ...change: Parameters<WorkerLog['append']>): Promise<void> =>
  log.append(...change);
