import type { CheckpointFact, Standing } from '../policy/checkpoint.js';
import type { CheckpointStore, Inspection, RollbackDone, RollbackPlan, RollbackRequest } from '../supervisor/ports.js'; // prettier-ignore
import { writersUnder } from '../util/os/dir-writers.js';
import { errorCode, errorText } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Problem, type Result } from '../util/result.js';
import { Inspector, type InspectorParts, type LookOptions } from './inspector.js';
import type { Layout } from './layouts/layout.js';
import { writerOf } from './quiet.js';
import { openIntents } from './rollback/journal.js';
import { finishRollbacks, rollBack } from './rollback/transaction.js';
import { recordedBest } from './step-file.js';
import type { Unit } from './unit.js';
import { watchTop } from './watch.js';

export interface StoreParts extends InspectorParts {
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
  }

  get layout(): string {
    return this.#inspector.layout;
  }

  recover(): Promise<Result<readonly string[]>> {
    return this.#alone('cannot be recovered', async () => {
      const { vault, dir, readOnly } = this.#parts;
      if (vault === undefined) return ok([]);
      if (readOnly) {
        const open = await openIntents(vault);
        return open.ok
          ? ok(open.value.map(({ tx }) => `the rollback ${tx} was cut off and is not finished yet`))
          : open;
      }
      const finished = await finishRollbacks({ dir, vault });
      if (!finished.ok) return finished;
      for (const skipped of finished.value.flatMap((one) => one.skipped)) this.#parts.notice(skipped);
      return ok(
        finished.value.map(({ tx, moved }) => {
          const names = moved.map((one) => one.name).join(', ');
          return `the rollback ${tx} had been cut off and was finished: quarantined ${names || 'nothing'}`;
        }),
      );
    });
  }

  inspect(options: LookOptions): Promise<Result<Inspection>> {
    return this.#alone('cannot be looked at', async () => {
      this.#facts = await this.#inspector.inspect(options);
      return ok({ checkpoints: this.#facts, foreign: this.#inspector.foreign });
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
      if (this.#parts.readOnly) return this.#closed();
      const unit = (await this.#inspector.units(false)).find((one) => one.id === id);
      if (!unit)
        return fail(`there is no checkpoint ${JSON.stringify(id)} in ${this.dir}`, exitStatus.failed);
      await this.#parts.standings.mark(await this.#inspector.manifestOf(unit), standing, why);
      return ok(undefined);
    });
  }

  plan(request: RollbackRequest): Promise<Result<RollbackPlan>> {
    return this.#alone('cannot be looked at', () => {
      const moves = request.moves.map((id) => ({ id, from: `${this.dir}/${id}`, to: 'quarantine' }));
      return Promise.resolve(ok({ moves, restores: [], others: [] }));
    });
  }

  undo(): Promise<Result<RollbackDone>> {
    return Promise.resolve(fail('a rollback cannot be undone by this version', exitStatus.internal));
  }

  rollback(plan: RollbackRequest): Promise<Result<RollbackDone>> {
    return this.#alone('cannot be rolled back', async () => {
      const { vault, dir, clock, notice, readOnly } = this.#parts;
      if (vault === undefined || readOnly) return this.#closed();
      const { target, reason } = plan;
      const all = new Map((await this.#inspector.units(false)).map((unit) => [unit.id, unit] as const));
      if (target !== undefined && !all.has(target))
        return fail(`${JSON.stringify(target)} is no longer in ${dir}; nothing was moved`, exitStatus.failed);
      for (const id of plan.moves) if (!all.has(id)) notice(`${id} vanished before it could be moved`);
      const units = plan.moves.flatMap((id) => all.get(id) ?? []);
      const refusal = await this.#refusal(units);
      if (refusal) return { ok: false, error: refusal };
      const moves = units.flatMap(({ id, members }) =>
        members.map(({ path, inode }) => ({ id, name: path, inode })),
      );
      const order = { moves, reason, at: clock.now(), ...(target === undefined ? {} : { target }) };
      const applied = await rollBack({ dir, vault }, order);
      if (!applied.ok) return applied;
      for (const skipped of applied.value.skipped) notice(skipped);
      const mains = applied.value.moved.filter((one) => one.name === one.id);
      return ok({ tx: applied.value.tx, moved: mains.map(({ id, to }) => ({ id, to })), restored: [], others: [] }); // prettier-ignore
    });
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

  /** What forbids a move: a writer that would go on writing into quarantine, or that it is not this run's. */
  async #refusal(units: readonly Unit[]): Promise<Problem | undefined> {
    const foreign = this.guessed && units.find((unit) => !this.#inspector.isOurs(unit));
    if (foreign) {
      const message = `${foreign.id} was not written by this run, and ${this.dir} was only guessed; name the folder with --checkpoint-dir to allow it to be moved`;
      return { message, exit: exitStatus.config };
    }
    const writers = await writersUnder(this.dir);
    for (const unit of units) {
      const writer = writerOf(unit, this.dir, writers);
      if (!writer) continue;
      const message = `process ${writer.pid} has ${writer.path} open for writing; stop it before ${unit.id} is moved`;
      return { message, exit: exitStatus.busy };
    }
    return undefined;
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
