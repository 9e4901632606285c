import { EventEmitter } from 'node:events';
import { Announcer, type RecoveryEventMap } from './announcer.js';
import { beatOf, reasonOf, unknownWorker, workerBeatsOf, workerIdOf } from './arguments.js';
import type { JsonCheckpoints } from './json-checkpoints.js';
import { Keeper } from './keeper.js';
import { openCheckpoints } from './open-checkpoints.js';
import { resolveLimits, resolveOptions } from './options.js';
import type { RecoveryInternals } from './ports.js';
import { isNewer } from './worker-table.js';
import type {
  Beat,
  BeatAnswer,
  RecoveryEvent,
  RecoveryManagerOptions,
  SavedCheckpoint,
  WorkerBeat,
  WorkerLimits,
  WorkerState,
} from './types.js';

/**
 * Watches over workers that report to it, and keeps their checkpoints.
 *
 * A worker that is silent for its timeout while monitoring becomes `failed`; when it beats again `recovered`, and with
 * one more heartbeat `active`. One that failed more often than `maxFailures` stays `failed`, and is told to stop.
 *
 * Every event is emitted under its type, and under `event`; `events()` gives the same as an iterator. A listener that
 * throws, or rejects, disturbs neither the manager nor the other listeners: its error is emitted as `problem`, or is a
 * warning of the process where nobody listens to that. The manager's timer does not keep the process alive.
 *
 * Every promise rejects with a TypeError or RangeError where an argument is wrong, and with an Error after `close`;
 * `monitoring` and `getWorkers()` go on saying what was known.
 *
 * @example
 * ```ts
 * import { RecoveryManager } from 'trainguard';
 *
 * const manager = new RecoveryManager({ heartbeatInterval: 5, maxFailures: 3, checkpointDir: 'checkpoints' });
 * manager.on('failed', ({ worker, reason }) => console.error(`${worker.workerId}: ${reason}`));
 * await manager.startMonitoring();
 * await manager.registerWorker('w0');
 * ```
 */
export class RecoveryManager extends EventEmitter<RecoveryEventMap> {
  /**
   * Their checkpoints as streams, for the server.
   * @internal
   */
  readonly checkpoints: JsonCheckpoints;
  readonly #announcer: Announcer;
  readonly #keeper: Keeper;

  /** @throws TypeError, RangeError for an option that is unknown or not allowed */
  constructor(options?: RecoveryManagerOptions);
  /** @internal */
  // eslint-disable-next-line @typescript-eslint/unified-signatures -- left out of the published types
  constructor(options: RecoveryManagerOptions, internals: RecoveryInternals);
  constructor(options: RecoveryManagerOptions = {}, internals: RecoveryInternals = {}) {
    super();
    const settings = resolveOptions(options);
    this.#announcer = new Announcer(this);
    this.checkpoints = internals.checkpoints ?? openCheckpoints(settings, internals, this.#announcer);
    this.#keeper = new Keeper(settings.times, internals, this.#announcer);
  }

  /**
   * Whether silent workers are noticed.
   * @example
   * ```ts
   * console.log(manager.monitoring); // false
   * ```
   */
  get monitoring(): boolean {
    return this.#keeper.table.monitoring;
  }

  /**
   * Begins to notice silent workers; each gets a whole timeout from now on.
   * @example
   * ```ts
   * await manager.startMonitoring();
   * console.log(manager.monitoring); // true
   * ```
   */
  async startMonitoring(): Promise<void> {
    await this.#keeper.do((now, table) => table.monitor(true, now));
  }

  /**
   * Ends the watch: nobody becomes failed by silence, and every `heartbeat` answers false until `startMonitoring`.
   * @example
   * ```ts
   * await manager.stopMonitoring();
   * console.log(await manager.heartbeat('w0')); // false
   * ```
   */
  async stopMonitoring(): Promise<void> {
    await this.#keeper.do((now, table) => table.monitor(false, now));
  }

  /**
   * Adds a worker, or takes one back that returned: its failures still count, and if it had failed it is `recovered`,
   * unless it failed more often than it may.
   * @param workerId 1 to 128 letters, digits or `. _ : @ -`
   * @param limits this worker's own; those left out are the manager's, or stay as they were
   * @returns what is known of it, `lastCheckpoint` the newest on disk
   * @example
   * ```ts
   * const worker = await manager.registerWorker('w1', { currentBatch: 0 }, { heartbeatTimeout: 60 });
   * console.log(worker.status); // active
   * ```
   */
  async registerWorker(
    workerId: string,
    initialState: Beat = {},
    limits: WorkerLimits = {},
  ): Promise<WorkerState> {
    const id = workerIdOf(workerId);
    const beat = beatOf(initialState);
    const own = resolveLimits(limits);
    const before = this.#keeper.table.get(id)?.lastCheckpoint;
    const found = await this.checkpoints.newest(id);
    const { worker } = await this.#keeper.do((now, table) => {
      const noted = table.get(id)?.lastCheckpoint;
      // one that was saved meanwhile need not be among those that were found
      const last = noted !== before && noted && isNewer(noted, found) ? noted : found;
      return table.register(id, beat, own, last, now);
    });
    return worker;
  }

  /**
   * Forgets a worker that ended as it should. Its checkpoints stay.
   * @returns false: there was none
   * @example
   * ```ts
   * console.log(await manager.unregisterWorker('w0')); // true
   * ```
   */
  async unregisterWorker(workerId: string): Promise<boolean> {
    const id = workerIdOf(workerId);
    return (await this.#keeper.do((now, table) => table.remove(id, now))).known;
  }

  /**
   * Takes a worker's sign of life.
   * @returns whether it shall go on. False: it failed more often than it may, is not registered, or monitoring was stopped
   * @example
   * ```ts
   * const shouldContinue = await manager.heartbeat('w0', { currentBatch: 12 });
   * console.log(shouldContinue); // true
   * ```
   */
  async heartbeat(workerId: string, state: Beat = {}): Promise<boolean> {
    const id = workerIdOf(workerId);
    const beat = beatOf(state);
    const { answer } = await this.#keeper.do((now, table) => table.beat(id, beat, now), false);
    return answer.shouldContinue;
  }

  /**
   * Takes the heartbeats of many workers at once: all of them, or none where one is malformed.
   * @returns an answer each, in the same order
   * @example
   * ```ts
   * const [answer] = await manager.heartbeats([{ workerId: 'w0', currentBatch: 13 }, { workerId: 'w9' }]);
   * console.log(answer); // { workerId: 'w0', shouldContinue: true, status: 'active' }
   * ```
   */
  async heartbeats(beats: readonly WorkerBeat[]): Promise<BeatAnswer[]> {
    return this.takeHeartbeats(beats, () => undefined);
  }

  /**
   * As {@link heartbeats}.
   * @param heard gets the answers before they are written: a disk that is slow or full makes nobody silent
   * @internal
   */
  async takeHeartbeats(
    beats: readonly WorkerBeat[],
    heard: (answers: readonly BeatAnswer[]) => void,
  ): Promise<BeatAnswer[]> {
    const checked = workerBeatsOf(beats);
    const taken = this.#keeper.do((now, table) => {
      const outcome = table.beatAll(checked, now);
      heard(outcome.answers);
      return outcome;
    }, false);
    return (await taken).answers;
  }

  /**
   * Saves a worker's state as JSON: whole or not at all, under a name that bears the time and the content's SHA-256. The
   * worker need not be registered.
   * @returns the file's path
   * @throws TypeError where JSON cannot hold the state; the system's error where it cannot be written
   * @example
   * ```ts
   * const file = await manager.saveCheckpoint('w0', { currentBatch: 12, weights: [0.5, -1] });
   * console.log(file.endsWith('.json')); // true
   * ```
   */
  async saveCheckpoint(workerId: string, state: unknown): Promise<string> {
    const id = workerIdOf(workerId);
    return this.#keeper.begin(async (decide) => {
      const saved = await this.checkpoints.save(id, state);
      await decide((now, table) => table.checkpoint(id, saved, now));
      return saved.path;
    });
  }

  /**
   * Takes note of a checkpoint that was saved through {@link checkpoints}, and tells it.
   * @internal
   */
  async noteCheckpoint(workerId: string, saved: SavedCheckpoint): Promise<void> {
    const id = workerIdOf(workerId);
    await this.#keeper.do((now, table) => table.checkpoint(id, saved, now));
  }

  /**
   * Reads the newest of a worker's checkpoints that is whole.
   * @returns the state as it was saved; null: it has no checkpoint
   * @throws Error where it has checkpoints and all of them are damaged: move them away to begin anew
   * @example
   * ```ts
   * await manager.saveCheckpoint('w0', { currentBatch: 12 });
   * console.log(await manager.loadCheckpoint('w0')); // { currentBatch: 12 }
   * ```
   */
  async loadCheckpoint<T = unknown>(workerId: string): Promise<T | null> {
    const id = workerIdOf(workerId);
    this.#keeper.checkOpen();
    const found = await this.checkpoints.load(id);
    return found && (found.state as T);
  }

  /**
   * The workers that are failed now.
   * @example
   * ```ts
   * await manager.markWorkerFailed('w0', 'its node is gone');
   * console.log((await manager.getFailedWorkers()).length); // 1
   * ```
   */
  // eslint-disable-next-line @typescript-eslint/require-await
  async getFailedWorkers(): Promise<WorkerState[]> {
    this.#keeper.checkOpen();
    return this.getWorkers().filter(({ status }) => status === 'failed');
  }

  /**
   * Says that a worker failed, whatever its heartbeats say. Counts each time, also when it is failed already.
   * @param reason for the event; more than 2,000 characters are cut
   * @throws UnknownWorkerError nobody registered it
   * @example
   * ```ts
   * const worker = await manager.markWorkerFailed('w0', 'its node is gone');
   * console.log(worker.failureCount); // 1
   * ```
   */
  async markWorkerFailed(workerId: string, reason = 'marked as failed'): Promise<WorkerState> {
    const id = workerIdOf(workerId);
    const why = reasonOf(reason);
    return (await this.#keeper.do((now, table) => table.fail(id, why, now) ?? unknownWorker(id))).worker;
  }

  /**
   * What is known of a worker now; null: there is none.
   * @example
   * ```ts
   * console.log((await manager.getWorker('w0'))?.currentBatch); // 0
   * ```
   */
  // eslint-disable-next-line @typescript-eslint/require-await
  async getWorker(workerId: string): Promise<WorkerState | null> {
    const id = workerIdOf(workerId);
    this.#keeper.checkOpen();
    return this.#keeper.table.get(id) ?? null;
  }

  /**
   * All workers, in the order of their registration.
   * @example
   * ```ts
   * console.log(manager.getWorkers().map(({ workerId }) => workerId)); // [ 'w0' ]
   * ```
   */
  getWorkers(): WorkerState[] {
    return this.#keeper.table.list();
  }

  /**
   * How often it may fail and still go on.
   * @internal
   */
  maxFailuresOf(workerId: string): number {
    return this.#keeper.table.maxFailuresOf(workerId);
  }

  /**
   * What happens from now on, in order, until `close`. A reader that falls 100,000 events behind gets an error after them.
   * @example
   * ```ts
   * const events = manager.events();
   * await manager.markWorkerFailed('w0');
   * for await (const event of events) {
   *   console.log(event.type); // failed
   *   break;
   * }
   * ```
   */
  events(): AsyncIterableIterator<RecoveryEvent, undefined> {
    return this.#announcer.reader();
  }

  /**
   * Ends the watch and every iterator, once what was begun is written, saves among it; nothing is begun any more. Unlike `stopMonitoring` it changes nothing that is
   * remembered.
   * @example
   * ```ts
   * const events = manager.events();
   * await manager.close();
   * console.log((await events.next()).done); // true
   * ```
   */
  async close(): Promise<void> {
    await this.#keeper.close();
  }
}
