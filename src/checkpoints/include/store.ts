import { type CheckpointFact, isUsable, type Standing } from '../../policy/checkpoint.js';
import type { CheckpointStore, Inspection, RollbackDone, RollbackPlan, RollbackRequest } from '../../supervisor/ports.js'; // prettier-ignore
import { errorCode, errorText } from '../../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import { drop, type HeldKept, keptIn, keptWith, surplus, sweep } from './kept.js';
import { type Aside, putBack, reachable, toClean } from './restore.js';
import { NotKept, takeIncludes } from './take.js';

export interface AsideWish {
  /** Absolute files and folders that are kept with each checkpoint, and put back with it. */
  readonly include: readonly string[];
  /** Absolute; globs among them. Cleared at a rollback, into quarantine. */
  readonly clean: readonly string[];
  /** What `clean` matches stays if it is, holds or lies in the state folder, or holds the working directory. Absolute. */
  readonly stateDir: string;
  readonly cwd: string;
  /** Pythons whose sqlite3 copies a living database, best first. */
  readonly interpreters: readonly string[];
  readonly clock: { now(): number };
  readonly notice: (text: string) => void;
}

/** What cannot be looked at is a Problem: nothing was moved yet. */
async function guarded(work: () => Promise<Aside>): Promise<Result<Aside>> {
  try {
    return ok(await work());
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    return fail(`what goes back with a checkpoint cannot be looked at: ${errorText(error)}; nothing was moved`, exitStatus.internal, code); // prettier-ignore
  }
}

/** A checkpoint store whose rollbacks also bring back what lies outside the checkpoint folder. */
export class WithAside implements CheckpointStore {
  readonly #inner: CheckpointStore;
  readonly #wish: AsideWish;
  readonly #said = new Set<string>();
  #facts: readonly CheckpointFact[] = [];
  #swept = false;

  constructor(inner: CheckpointStore, wish: AsideWish) {
    this.#inner = inner;
    this.#wish = wish;
  }

  get dir(): string {
    return this.#inner.dir;
  }

  get dirs(): readonly string[] | undefined {
    return this.#inner.dirs;
  }

  get vault(): string | undefined {
    return this.#inner.vault;
  }

  get settleMs(): number {
    return this.#inner.settleMs;
  }

  get layout(): string {
    return this.#inner.layout;
  }

  get guessed(): boolean {
    return this.#inner.guessed;
  }

  async inspect(options: Parameters<CheckpointStore['inspect']>[0]): Promise<Result<Inspection>> {
    const found = await this.#inner.inspect(options);
    if (found.ok) this.#facts = found.value.checkpoints;
    return found;
  }

  /** After what the checkpoint itself needs: the newest good one is what a restart would take. */
  async keep(options: Parameters<CheckpointStore['keep']>[0]): Promise<void> {
    await this.#inner.keep(options);
    const { include } = this.#wish;
    const newest = this.#facts.findLast((fact) => isUsable(fact.standing) && !fact.spare);
    const { vault } = this.#inner;
    if (include.length === 0 || !newest?.ours || vault === undefined) return;
    try {
      if (!this.#swept) await sweep(vault);
      this.#swept = true;
      const held = await keptIn(vault);
      if (!keptWith(held, newest)) await this.#take(newest, vault, held.at(-1), options);
      for (const one of surplus(await keptIn(vault), this.#facts)) await drop(one);
    } catch (error) {
      if (options.signal?.aborted === true) return;
      if (!(error instanceof NotKept) && errorCode(error) === undefined) throw error;
      this.#sayOnce(`checkpoints.include: nothing is kept with ${newest.id}: ${errorText(error)}`);
    }
  }

  async rollback(request: RollbackRequest): Promise<Result<RollbackDone>> {
    const { vault } = this.#inner;
    const aside = await guarded(async () => {
      const all = await this.#aside(request);
      return vault === undefined ? all : reachable(vault, all);
    });
    if (!aside.ok) return aside;
    const { puts, moves, left } = aside.value;
    for (const text of left) this.#wish.notice(text);
    return this.#inner.rollback({ ...request, extra: { puts, moves } });
  }

  async plan(request: RollbackRequest): Promise<Result<RollbackPlan>> {
    const aside = await guarded(() => this.#aside(request));
    if (!aside.ok) return aside;
    const { puts, moves, left } = aside.value;
    const planned = await this.#inner.plan({ ...request, extra: { puts, moves } });
    if (!planned.ok) return planned;
    return { ok: true, value: { ...planned.value, others: [...planned.value.others, ...left] } };
  }

  vet(id: string, afresh = false): Promise<Result<string | undefined>> {
    return this.#inner.vet(id, afresh);
  }

  recover(): Promise<Result<readonly string[]>> {
    return this.#inner.recover();
  }

  credit(healthy: { readonly ms: number; readonly steps: number }): Promise<void> {
    return this.#inner.credit(healthy);
  }

  mark(id: string, standing: Standing, why: string): Promise<Result<void>> {
    return this.#inner.mark(id, standing, why);
  }

  retain(): Promise<void> {
    return this.#inner.retain();
  }

  prune(options: Parameters<CheckpointStore['prune']>[0]): ReturnType<CheckpointStore['prune']> {
    return this.#inner.prune(options);
  }

  pin(id: string, on: boolean): Promise<Result<void>> {
    return this.#inner.pin(id, on);
  }

  undo(tx?: string): Promise<Result<RollbackDone>> {
    return this.#inner.undo(tx);
  }

  best(): Promise<string | undefined> {
    return this.#inner.best();
  }

  watch(changed: () => void): () => void {
    return this.#inner.watch(changed);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #take(
    fact: CheckpointFact,
    vault: string,
    last: HeldKept | undefined,
    { live, signal }: Parameters<CheckpointStore['keep']>[0],
  ): Promise<void> {
    const { include, interpreters, clock } = this.#wish;
    await takeIncludes(fact, {
      vault,
      include,
      live,
      interpreters,
      last,
      now: clock.now(),
      ...(signal && { signal }),
    });
  }

  async #aside({ target }: RollbackRequest): Promise<Aside> {
    const { clean, cwd, stateDir, include } = this.#wish;
    const { vault } = this.#inner;
    const fact = this.#facts.find(({ id }) => id === target);
    const kept = fact && vault !== undefined ? keptWith(await keptIn(vault), fact) : undefined;
    const back = kept ? await putBack(kept) : { puts: [], moves: [], left: [] };
    const places = [stateDir, ...(this.dirs ?? [this.dir]), ...(vault === undefined ? [] : [vault])];
    const cleared = await toClean(clean, places, cwd);
    const none = `nothing that checkpoints.include names was kept with ${target ?? 'the beginning'}: it is left as it is`;
    return {
      puts: back.puts,
      moves: [...new Set([...back.moves, ...cleared.moves])].filter(
        (one) => !back.puts.some(({ to }) => to === one),
      ),
      left: [...back.left, ...cleared.left, ...(include.length > 0 && !kept ? [none] : [])],
    };
  }

  #sayOnce(text: string): void {
    if (this.#said.has(text)) return;
    this.#said.add(text);
    this.#wish.notice(text);
  }
}
