import { AsyncLocalStorage } from 'node:async_hooks';
import { Aborted, type After, unlessAborted, waitFor } from './abort.js';
import { Blocked, Stuck } from './blocked.js';
import { classifyReport } from './classify-report.js';
import { checkContext, type RecoveryContext } from './context.js';
import { decideFailure } from './decide.js';
import type { PastFailure, RecoveryDecision, RecoveryFailure } from './decision.js';
import { reportOf } from './error-report.js';
import type { RecoveryStatus, RecursiveRecoveryEvent, RecursiveTrainingRecoveryConfig } from './recursive-types.js'; // prettier-ignore
import { SafeFolder } from './safe-folder.js';
import { type RecursiveSettings, settingsOf } from './settings.js';
import { isPoisonous, type RecoveryStrategy } from './strategies.js';

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

const reasonsKept = 100;
const failuresKept = 50;

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
 * const recovery = new RecursiveTrainingRecovery({
 *   maxRetries: 3,
 *   backoff: { initial: '10ms' },
 *   retry: async (context) => train(context.lastCheckpointPath),
 * });
 * try {
 *   await train(null);
 * } catch (error) {
 *   if (!(await recovery.recover(error, { runId: 'digits', step: 120 }))) throw error;
 * }
 */
export class RecursiveTrainingRecovery {
  readonly #settings: RecursiveSettings;
  readonly #folder: SafeFolder;
  readonly #after: After;
  readonly #random: () => number;
  /** Which recovery's `retry` we are within. */
  readonly #within = new AsyncLocalStorage<object>();
  #underWay: UnderWay | undefined;
  #past: readonly PastFailure[] = [];
  #status: RecoveryStatus = {
    ...{ lastRecoveryStatus: null, recovering: false, attempts: 0, reasons: [], lastFailure: null },
  };

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
    this.#after = internals.after ?? realAfter;
    this.#random = internals.random ?? Math.random;
  }

  /**
   * Recovers from an error: says what it is, goes back to the newest checkpoint that can be trusted, waits, looks whether
   * the machine is fit, and calls `retry`; what that throws is the next failure, until one call comes through, the
   * failure is none that a retry cures, or `maxRetries` are used.
   *
   * Called while a recovery is under way it joins that: both get the same answer. Called from within `retry` it rejects
   * with the error it was given, which so becomes the next failure of the recovery that called `retry`: retries never
   * multiply.
   *
   * @param context the caller's own object; `attempt`, `error` and `lastCheckpointPath` are written into it. Keep its
   *   `step` current: the same failure at the same step again and again is given up, also over several recoveries.
   * @returns whether the training came through: what `retry` really came to; false also where `signal` was aborted
   * @throws TypeError for a context that is not valid, or of another training than the one under way
   *
   * @example
   * const recovery = new RecursiveTrainingRecovery({ backoff: { initial: 0 }, retry: async () => 'trained' });
   * const recovered = await recovery.recover(new Error('connect ECONNREFUSED'), { step: 40 });
   * console.log(recovered); // true
   */
  async recover(error: unknown, context: RecoveryContext = {}): Promise<boolean> {
    checkContext(context);
    const current = this.#underWay;
    if (current && this.#within.getStore() === current.token) return await Promise.reject(asError(error));
    if (current) return this.#join(current, error, context);
    this.#status = { ...this.#status, recovering: true, attempts: 0, reasons: [] };
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
   * @returns the path to resume from, which is put in `context.lastCheckpointPath` too; null where nothing can be trusted
   * @throws Error where no folder is known, it cannot be read or changed, or somebody else holds it
   *
   * @example
   * const recovery = new RecursiveTrainingRecovery({ checkpoints: { dir: 'checkpoints' }, retry: async () => {} });
   * const path = await recovery.rollbackToSafeState({ runId: 'digits' });
   * console.log(path); // null: nothing is there yet
   */
  async rollbackToSafeState(context: RecoveryContext = {}): Promise<string | null> {
    checkContext(context);
    const failure = context.error === undefined ? undefined : classifyReport(reportOf(context.error));
    const bad =
      failure && isPoisonous(failure.kind) && context.step !== undefined ? { step: context.step } : undefined;
    const state = await this.#folder.goBack(context, bad);
    this.#tell({ type: 'rolled-back', path: state.path, moved: state.moved, reason: state.reason });
    return state.path;
  }

  /**
   * What became of the newest recovery. Plain data, a copy.
   *
   * @example
   * const recovery = new RecursiveTrainingRecovery({ retry: async () => {} });
   * console.log(recovery.getRecoveryStatus().lastRecoveryStatus); // null
   */
  getRecoveryStatus(): RecoveryStatus {
    return structuredClone(this.#status);
  }

  async #join({ context, done }: UnderWay, error: unknown, joining: RecoveryContext): Promise<boolean> {
    const [one, other] = [context.runId, joining.runId];
    if (one !== undefined && other !== undefined && one !== other)
      throw new TypeError(`run ${one} is being recovered, and one RecursiveTrainingRecovery looks after one training: make another for run ${other}.`); // prettier-ignore
    this.#note(`at the same time: ${classifyReport(reportOf(error)).reason}`);
    return done;
  }

  async #recover(error: unknown, context: RecoveryContext): Promise<boolean> {
    // whoever asks in the meantime finds it under way
    await Promise.resolve();
    let recovered = false;
    try {
      recovered = await this.#loop(error, context);
      return recovered;
    } finally {
      // of what was cured only its coming back counts; who gave up and is called again begins anew
      this.#past = recovered ? this.#past.map((one) => ({ ...one, cured: true })).slice(-failuresKept) : [];
      this.#status = {
        ...this.#status,
        recovering: false,
        lastRecoveryStatus: recovered ? 'success' : 'failed',
      };
      this.#underWay = undefined;
    }
  }

  async #loop(error: unknown, context: RecoveryContext): Promise<boolean> {
    const { signal } = this.#settings;
    const first = context.attempt ?? 0;
    let thrown = error;
    for (;;) {
      if (signal?.aborted) return this.#giveUp(`it was told to stop: ${new Aborted(signal).message}`);
      if (!(thrown instanceof Blocked)) context.error = thrown;
      const failure = thrown instanceof Blocked ? thrown.failure : classifyReport(reportOf(thrown));
      const strategy = await this.#strategyFor(failure, context);
      const decision = this.#decide(failure, strategy, context.step);
      if (!decision.retry) return this.#giveUp(decision.why);
      try {
        await this.#tryAgain(decision, strategy, context, first);
        this.#tell({ type: 'recovered', retries: this.#status.attempts });
        return true;
      } catch (next) {
        if (next instanceof Stuck) return this.#giveUp(next.message);
        thrown = next;
      }
    }
  }

  async #strategyFor(failure: RecoveryFailure, context: RecoveryContext): Promise<RecoveryStrategy> {
    const { strategies } = this.#settings;
    const strategy =
      typeof strategies === 'function' ? await strategies(failure, context) : strategies[failure.kind];
    return strategy ?? {};
  }

  #decide(
    failure: RecoveryFailure,
    { retry, rollback }: RecoveryStrategy,
    step: number | undefined,
  ): RecoveryDecision {
    const { maxRetries, rollbackEnabled, backoff } = this.#settings;
    const rule = { ...(retry !== undefined && { retry }), ...(rollback !== undefined && { rollback }) };
    const known = step === undefined ? {} : { step };
    const decision = decideFailure(failure, {
      ...{ maxRetries, rollbackEnabled, backoff, history: this.#past, jitter: this.#random() },
      ...{ ...known, rules: { [failure.kind]: rule } },
    });
    const { kind, fingerprint } = failure;
    this.#past = [...this.#past, { kind, ...(fingerprint !== undefined && { fingerprint }), ...known }];
    this.#status = { ...this.#status, lastFailure: decision };
    this.#note(`${decision.reason}; ${decision.retry ? decision.why : `gave up: ${decision.why}`}`);
    this.#tell({ type: 'failure', decision, ...known });
    return decision;
  }

  /** @throws whatever stands in the way of it: what `retry` throws, or a lack of the machine's */
  async #tryAgain(
    decision: RecoveryDecision,
    { prepare }: RecoveryStrategy,
    context: RecoveryContext,
    first: number,
  ): Promise<void> {
    const { signal, checkResources, retry } = this.#settings;
    if (decision.rollback) await this.#rollBack(decision, context);
    if (decision.delayMs > 0) this.#tell({ type: 'backing-off', delayMs: decision.delayMs });
    await waitFor(decision.delayMs, this.#after, signal);
    if (checkResources !== false) await this.#folder.checkRoom(context, decision.kind);
    if (typeof checkResources === 'function') {
      const lack = await unlessAborted(signal, Promise.resolve(checkResources(context, decision)));
      if (lack !== undefined) throw Blocked.lacking({ kind: decision.kind, words: lack });
    }
    if (signal?.aborted) throw new Aborted(signal);
    const attempts = this.#status.attempts + 1;
    this.#status = { ...this.#status, attempts };
    context.attempt = first + attempts;
    this.#tell({ type: 'retry', attempt: context.attempt });
    await unlessAborted(signal, runAgain(prepare, retry, context, decision));
  }

  async #rollBack({ kind }: RecoveryDecision, context: RecoveryContext): Promise<void> {
    const bad = isPoisonous(kind) && context.step !== undefined ? { step: context.step } : undefined;
    const state = await this.#folder.goBackIfKnown(context, bad);
    if (!state) return;
    const { path, moved, reason } = state;
    if (state.stuck) throw new Stuck(reason);
    this.#tell({ type: 'rolled-back', path, moved, reason });
  }

  #giveUp(why: string): false {
    this.#note(`gave up: ${why}`);
    this.#tell({ type: 'gave-up', why });
    return false;
  }

  #note(reason: string): void {
    const { reasons } = this.#status;
    // said already, with the failure
    if (reasons.at(-1)?.endsWith(reason)) return;
    this.#status = { ...this.#status, reasons: [...reasons, reason].slice(-reasonsKept) };
  }

  #tell(event: RecursiveRecoveryEvent): void {
    try {
      this.#settings.onEvent?.(event);
    } catch (error) {
      // who only listens does not end a recovery
      process.emitWarning(`onEvent of RecursiveTrainingRecovery threw: ${String(error)}`);
    }
  }
}

async function runAgain(
  prepare: RecoveryStrategy['prepare'],
  retry: RecursiveSettings['retry'],
  context: RecoveryContext,
  failure: RecoveryFailure,
): Promise<void> {
  await prepare?.(context, failure);
  await retry(context);
}

const asError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error(reportOf(thrown).message, { cause: thrown });
