import type { CheckpointFact, Standing } from '../policy/checkpoint.js';
import type { CheckpointStore, Inspection, Pruned, RollbackDone, RollbackPlan, RollbackRequest } from '../supervisor/ports.js'; // prettier-ignore
import { errorCode, errorText } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { Inspector, type InspectorParts, type LookOptions } from './inspector.js';
import type { Layout } from './layouts/layout.js';
import type { Manifest } from './manifest.js';
import { newTx } from './rollback/journal.js';
import { Rollbacks } from './rollback/rollbacks.js';
import { Retention, type RetentionParts } from './retention/retention.js';
import { Keeping, type KeepOptions } from './spares/keep.js';
import { recordedBest } from './step-file.js';
import { watchTop } from './watch.js';

export interface StoreParts extends InspectorParts, Pick<RetentionParts, 'keep' | 'metrics'> {
  readonly guessed: boolean;
  /** Undefined: there is none, and none may be made. */
  readonly vault: string | undefined;
  readonly layout: Layout;
  readonly notice: (text: string) => void;
}

/** The port's methods, one at a time, so that a scan never sees a half-done rollback. */
export class Store implements CheckpointStore {
  readonly dir: string;
  readonly vault: string | undefined;
  readonly guessed: boolean;
  readonly #parts: StoreParts;
  readonly #inspector: Inspector;
  readonly #rollbacks: Rollbacks;
  readonly #keeping: Keeping | undefined;
  readonly #retention: Retention;
  /** Those of the last inspection, oldest first. */
  #facts: readonly CheckpointFact[] = [];
  #queue: Promise<unknown> = Promise.resolve();
  readonly #watches = new Map<() => void, () => Promise<void>>();

  constructor(parts: StoreParts) {
    this.dir = parts.dir;
    this.vault = parts.vault;
    this.guessed = parts.guessed;
    this.#parts = parts;
    this.#inspector = new Inspector(parts, parts.layout);
    this.#rollbacks = new Rollbacks(parts, this.#inspector);
    this.#retention = new Retention(parts, this.#inspector);
    const { vault, readOnly } = parts;
    if (vault !== undefined && !readOnly) this.#keeping = new Keeping({ ...parts, vault });
  }

  get settleMs(): number {
    return this.#parts.settleMs;
  }

  get layout(): string {
    return this.#inspector.layout;
  }

  recover(): Promise<Result<readonly string[]>> {
    return this.#alone('cannot be recovered', () =>
      this.#retention.withReserve(() => this.#rollbacks.recover()),
    );
  }

  inspect(options: LookOptions): Promise<Result<Inspection>> {
    return this.#alone('cannot be looked at', async () => {
      this.#facts = await this.#inspector.inspect(options);
      const { foreign, disorder } = this.#inspector;
      return ok({ checkpoints: this.#facts, foreign, ...(disorder !== undefined && { disorder }) });
    });
  }

  async credit(healthy: { readonly ms: number; readonly steps: number }): Promise<void> {
    if (this.#parts.readOnly) return;
    const done = await this.#alone('cannot keep its proofs', async () => {
      await this.#parts.standings.credit(this.#facts, healthy);
      return ok(undefined);
    });
    if (!done.ok) this.#parts.notice(done.error.message);
  }

  mark(id: string, standing: Standing, why: string): Promise<Result<void>> {
    return this.#alone(`cannot keep that ${JSON.stringify(id)} is ${standing}`, async () => {
      const manifest = await this.#manifestOf(id);
      if (manifest.ok) await this.#parts.standings.mark(manifest.value, standing, why);
      return manifest.ok ? ok(undefined) : manifest;
    });
  }

  async pin(id: string, on: boolean): Promise<Result<void>> {
    // only what was verified can have a spare
    const seen = await this.inspect({ live: false, budgetMs: Number.POSITIVE_INFINITY });
    if (!seen.ok) return seen;
    const what = `cannot keep that ${JSON.stringify(id)} is ${on ? 'pinned' : 'no longer pinned'}`;
    const pinned = await this.#alone(what, async () => {
      const manifest = await this.#manifestOf(id);
      if (!manifest.ok) return manifest;
      const { files } = manifest.value;
      await (on ? this.#parts.pins.add(id, files) : this.#parts.pins.remove(files));
      return ok(undefined);
    });
    if (!pinned.ok) return pinned;
    const after = await this.inspect({ live: false, budgetMs: 0 });
    await this.keep({ live: false });
    return after.ok ? ok(undefined) : after;
  }

  async keep(options: KeepOptions): Promise<void> {
    // not in the queue: a copy takes its time, and a look at the folder must not wait for it
    await this.#keeping?.keep(this.#inspector.seen, this.#inspector.spares, options);
    // while nothing runs somebody may be about to choose among them
    if (options.live) await this.retain();
  }

  async retain(): Promise<void> {
    const tidied = await this.#alone('cannot be tidied', async () => {
      await this.#retention.tidy(await this.best());
      return ok(undefined);
    });
    if (!tidied.ok) this.#parts.notice(tidied.error.message);
  }

  prune(options: { readonly dryRun: boolean; readonly folder: boolean }): Promise<Result<Pruned>> {
    return this.#alone('cannot be pruned', async () => {
      if (this.#parts.readOnly && !options.dryRun) return this.#closed();
      return ok(await this.#retention.prune(options, await this.best()));
    });
  }

  /** For a change: what is known of a checkpoint of the folder, or of a spare. */
  async #manifestOf(id: string): Promise<Result<Manifest>> {
    if (this.#parts.readOnly) return this.#closed();
    const unit = (await this.#inspector.units(false)).find((one) => one.id === id);
    if (unit) return ok(await this.#inspector.manifestOf(unit));
    const spare = (await this.#parts.shelf.list()).find((one) => one.id === id);
    if (spare) return ok(await this.#parts.standings.ofSpare(spare));
    return fail(`there is no checkpoint ${JSON.stringify(id)} in ${this.dir}`, exitStatus.failed);
  }

  plan(request: RollbackRequest): Promise<Result<RollbackPlan>> {
    return this.#alone('cannot be looked at', () => this.#rollbacks.plan(request));
  }

  vet(id: string, afresh = false): Promise<Result<string | undefined>> {
    return this.#alone('cannot be read', () => this.#rollbacks.vet(id, afresh));
  }

  rollback(request: RollbackRequest): Promise<Result<RollbackDone>> {
    // by its name a rollback that the full disk cut off is gone on with
    const named = { ...request, tx: request.tx ?? newTx(this.#parts.clock.now()) };
    return this.#alone('cannot be rolled back', () =>
      this.#retention.withReserve(() => this.#rollbacks.rollback(named, this.#facts)),
    );
  }

  undo(tx?: string): Promise<Result<RollbackDone>> {
    const own = newTx(this.#parts.clock.now());
    return this.#alone('cannot be put back', () =>
      this.#retention.withReserve(() => this.#rollbacks.undo(own, tx)),
    );
  }

  best(): Promise<string | undefined> {
    const ids = this.#facts.map((fact) => fact.id);
    return recordedBest(this.dir, ids);
  }

  watch(changed: () => void): () => void {
    const callback = (): void => changed();
    this.#watches.set(callback, watchTop(this.dir, callback, this.#parts.notice));
    return () => {
      const end = this.#watches.get(callback);
      this.#watches.delete(callback);
      // what ends the watch reports its own failures as notices
      void end?.();
    };
  }

  async close(): Promise<void> {
    const ends = [...this.#watches.values()];
    this.#watches.clear();
    await Promise.all(ends.map((end) => end()));
    if (this.#parts.readOnly) return;
    const flushed = await this.#alone('cannot keep its proofs', async () => {
      await this.#parts.standings.flush();
      return ok(undefined);
    });
    if (!flushed.ok) this.#parts.notice(flushed.error.message);
  }

  /** One after the other; the system's errors become Problems, bugs throw. */
  #alone<T>(what: string, work: () => Promise<Result<T>>): Promise<Result<T>> {
    const done = this.#queue.then(work).catch((error: unknown): Result<T> => {
      const code = errorCode(error);
      if (code === undefined) throw error;
      return fail(
        `the checkpoint folder ${this.dir} ${what}: ${errorText(error)}`,
        exitStatus.internal,
        code,
      );
    });
    this.#queue = done.catch(() => undefined);
    return done;
  }

  #closed(): Result<never> {
    return fail(`the checkpoint folder ${this.dir} was opened for reading only`, exitStatus.internal);
  }
}
