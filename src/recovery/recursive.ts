import { AsyncLocalStorage } from 'node:async_hooks';
import type { After } from './abort.js';
import { classifyReport } from './classify-report.js';
import { checkContext, oddFields, type RecoveryContext, stepOf } from './context.js';
import { reportOf } from './error-report.js';
import { type LoopParts, recoverLoop } from './recovery-loop.js';
import { RecoveryRecord } from './recovery-record.js';
import type { RecoveryStatus, RecursiveRecoveryEvent, RecursiveTrainingRecoveryConfig } from './recursive-types.js'; // prettier-ignore
import { SafeFolder } from './safe-folder.js';
import { type RecursiveSettings, settingsOf } from './settings.js';
import { isPoisonous } from './strategies.js';

export type * from './recursive-types.js';
export type { RecoveryContext } from './context.js';
export type { RecoveryStrategies, RecoveryStrategy } from './strategies.js';

/** Time and chance, so that tests can lead them. */
export interface RecursiveInternals {
  readonly after?: After;
  /** From 0 up to 1. */
  readonly random?: () => number;
}

/** A timer of Node's: the process stays alive for it, since somebody waits for what comes after. */
const realAfter: After = (delayMs, call) => {
  // a longer delay than a timer can hold would fire at once
  const timer = setTimeout(call, Math.min(delayMs, 2 ** 31 - 1));
  return () => clearTimeout(timer);
};

/** One recovery under way. */
interface UnderWay {
  readonly context: RecoveryContext;
  /** What `retry` runs within. */
  readonly token: object;
  readonly done: Promise<boolean>;
}

/**
 * Runs a failed training again, from the newest checkpoint that can be trusted, and decides by the same table and the
 * same rules as the command whether that is worth a try. One instance looks after one training.
 *
 * @example
 * ```ts
 * import { RecursiveTrainingRecovery } from 'trainguard';
 *
 * let faults = 2;
 * async function train(from?: string | null): Promise<void> {
 *   if (faults-- > 0) throw new Error('connect ECONNREFUSED 10.0.0.7:29500');
 * }
 *
 * const recovery = new RecursiveTrainingRecovery({
 *   maxRetries: 3,
 *   backoff: { initial: '10ms' },
 *   retry: (context) => train(context.lastCheckpointPath),
 * });
 * try {
 *   await train();
 * } catch (error) {
 *   if (!(await recovery.recover(error, { runId: 'digits', step: 120 }))) throw error;
 * }
 * console.log(recovery.getRecoveryStatus().attempts); // 2
 * ```
 */
export class RecursiveTrainingRecovery {
  readonly #settings: RecursiveSettings;
  readonly #folder: SafeFolder;
  readonly #record = new RecoveryRecord();
  readonly #parts: LoopParts;
  /** Which recovery's `retry` we are within. */
  readonly #within = new AsyncLocalStorage<object>();
  #underWay: UnderWay | undefined;

  /**
   * @throws TypeError, one sentence that names the key, for what the configuration file would not take either
   */
  constructor(config: RecursiveTrainingRecoveryConfig);
  /** @internal */
  // eslint-disable-next-line @typescript-eslint/unified-signatures -- left out of the published types
  constructor(config: RecursiveTrainingRecoveryConfig, internals: RecursiveInternals);
  constructor(config: RecursiveTrainingRecoveryConfig, internals: RecursiveInternals = {}) {
    this.#settings = settingsOf(config);
    this.#folder = new SafeFolder(this.#settings, (text) => this.#tell({ type: 'notice', text }));
    this.#parts = {
      ...{ settings: this.#settings, folder: this.#folder, record: this.#record },
      ...{ after: internals.after ?? realAfter, random: internals.random ?? Math.random },
      tell: (event) => this.#tell(event),
    };
  }

  /**
   * Recovers from an error: says what it is, goes back to the newest checkpoint that can be trusted, waits, looks whether
   * the machine is fit, and calls `retry`; what that throws is the next failure, until one call comes through, the
   * failure is none that a retry cures, or `maxRetries` are used without getting further.
   *
   * Called while a recovery is under way it joins that: both get the same answer. Called from within `retry` it rejects
   * with the error it was given, which so becomes the next failure of the recovery that called `retry`: retries never
   * multiply. Work that was begun before `recover` (a pool, a loop that takes jobs) is not within `retry`, though it may
   * do its work: where `retry` waits for it, it must hand its error to `retry` and not call `recover`.
   *
   * @param context the caller's own object; `attempt`, `error` and `lastCheckpointPath` are written into it. Keep its
   *   `step` current: the same failure at the same step again and again is given up, also over several recoveries.
   * @returns whether the training came through: what `retry` really came to; false also where `signal` was aborted
   * @throws TypeError for a context that is not valid, with `error` as its `cause`, or of another training than the one
   *   under way
   *
   * @example
   * ```ts
   * const recovered = await recovery.recover(new Error('connect ECONNREFUSED'), { runId: 'digits' });
   * console.log(recovered); // true
   * ```
   */
  async recover(error: unknown, context: RecoveryContext = {}): Promise<boolean> {
    checkContext(context, error);
    const current = this.#underWay;
    if (current && this.#within.getStore() === current.token) return await Promise.reject(asError(error));
    if (current) return this.#join(current, error, context);
    this.#record.begin();
    const token = {};
    const done = this.#within.run(token, () => this.#recover(error, context));
    this.#underWay = { context, token, done };
    return done;
  }

  /**
   * Goes back to the newest checkpoint that can be trusted, as `trainguard rollback` does: its bytes are read again, what
   * is newer and damaged goes into quarantine, nothing is deleted. After a failure whose numbers went bad
   * (`context.error`), to one from before `context.step`.
   *
   * @returns the path to resume from, which is put in `context.lastCheckpointPath` too; null where nothing can be trusted.
   *   To begin anew is meant only where `context.lastCheckpointPath` is null as well: where there may have been a good one,
   *   nothing is moved, and it stays the path that it was, or unset
   * @throws Error where no folder is known, it cannot be read or changed, somebody else holds it, or `signal` was aborted
   *
   * @example
   * ```ts
   * const path = await recovery.rollbackToSafeState({ runId: 'digits' });
   * console.log(path); // null
   * ```
   */
  async rollbackToSafeState(context: RecoveryContext = {}): Promise<string | null> {
    checkContext(context);
    for (const text of oddFields(context)) this.#tell({ type: 'notice', text });
    const step = stepOf(context);
    const failure = context.error === undefined ? undefined : classifyReport(reportOf(context.error));
    const bad = failure && isPoisonous(failure.kind) && step !== undefined ? { step } : undefined;
    const state = await this.#folder.goBack(context, { ...(bad && { bad }) });
    this.#tell({ type: 'rolled-back', path: state.path, moved: state.moved, reason: state.reason });
    return state.path;
  }

  /**
   * What became of the newest recovery. Plain data, a copy.
   *
   * @example
   * ```ts
   * console.log(recovery.getRecoveryStatus().lastRecoveryStatus); // null
   * ```
   */
  getRecoveryStatus(): RecoveryStatus {
    return this.#record.status;
  }

  async #join({ context, done }: UnderWay, error: unknown, joining: RecoveryContext): Promise<boolean> {
    const [one, other] = [context.runId, joining.runId];
    if (one !== undefined && other !== undefined && one !== other)
      throw new TypeError(`run ${one} is being recovered, and one RecursiveTrainingRecovery looks after one training: make another for run ${other}.`); // prettier-ignore
    this.#record.note(`at the same time: ${classifyReport(reportOf(error)).reason}`);
    if (this.#record.isRetrying) this.#tell({ type: 'notice', text: joinedRetry });
    return done;
  }

  async #recover(error: unknown, context: RecoveryContext): Promise<boolean> {
    // whoever asks in the meantime finds it under way
    await Promise.resolve();
    let recovered = false;
    try {
      recovered = await recoverLoop(this.#parts, error, context);
      return recovered;
    } finally {
      this.#record.end(recovered);
      // who calls again after that begins anew
      if (!recovered) this.#folder.forget();
      this.#underWay = undefined;
    }
  }

  #tell(event: RecursiveRecoveryEvent): void {
    try {
      // a listener may be async: its rejection would end the process
      Promise.resolve(this.#settings.onEvent?.(event)).catch(warn);
    } catch (error) {
      warn(error);
    }
  }
}

const joinedRetry =
  'recover was called while retry runs, by work that was begun outside of it: it answers when that recovery ends. If retry waits for this work, neither ever ends: let the error out of retry instead of calling recover';

/** Who only listens does not end a recovery, nor the process. */
const warn = (error: unknown): void =>
  process.emitWarning(`onEvent of RecursiveTrainingRecovery threw: ${String(error)}`);

const asError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error(reportOf(thrown).message, { cause: thrown });
