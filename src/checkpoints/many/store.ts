import type { Standing } from '../../policy/checkpoint.js';
import type { CheckpointStore, Inspection, Prunable, Pruned, RollbackDone, RollbackPlan, RollbackRequest } from '../../supervisor/ports.js'; // prettier-ignore
import { isUsable } from '../../policy/checkpoint.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import { baseOf } from './glob.js';
import type { Folders, Member } from './folders.js';
import { GroupRollback } from './group-rollback.js';
import { joinLines, type Joint, type Line, writtenAtOnce } from './join.js';
import { orderFor } from './order.js';

/** How often globs are looked at for more while the folders are watched, ms. */
const globEveryMs = 1000;

type InspectOptions = Parameters<CheckpointStore['inspect']>[0];

/** Several checkpoint folders as if they were one: a checkpoint of it is what all of them hold of one moment. */
export class Many implements CheckpointStore {
  readonly guessed = false;
  readonly #folders: Folders;
  readonly #clock: { now(): number; mono(): number };
  readonly #rollback: GroupRollback;
  /** Members that ever held a checkpoint; by what the vault remembers, or since. */
  readonly #had = new Set<Member>();
  readonly #notice: (text: string) => void;
  readonly #toldAtOnce = new Set<string>();
  #joints: readonly Joint[] = [];
  #queue: Promise<unknown> = Promise.resolve();
  readonly #watches = new Map<() => void, (() => void)[]>();

  constructor(folders: Folders, clock: { now(): number; mono(): number }, notice: (text: string) => void) {
    this.#folders = folders;
    this.#notice = notice;
    this.#clock = clock;
    this.#rollback = new GroupRollback(folders);
  }

  /** The first one; where only globs were named and none matches yet, the folder that the first begins in. */
  get dir(): string {
    return this.#folders.members[0]?.store.dir ?? baseOf(this.#folders.patterns[0] ?? '');
  }

  get dirs(): readonly string[] {
    return this.#folders.members.map(({ store }) => store.dir);
  }

  get vault(): string | undefined {
    return this.#folders.members[0]?.store.vault;
  }

  get settleMs(): number {
    return Math.max(0, ...this.#folders.members.map(({ store }) => store.settleMs));
  }

  get layout(): string {
    return [...new Set(this.#folders.members.map(({ store }) => store.layout))].join(' and ') || 'auto';
  }

  recover(): Promise<Result<readonly string[]>> {
    return this.#alone(async () => {
      const told: string[] = [];
      for (const { store, name } of this.#folders.members) {
        const finished = await store.recover();
        if (!finished.ok) return finished;
        told.push(...finished.value.map((text) => `${name}: ${text}`));
      }
      const groups = await this.#rollback.finish();
      return groups.ok ? ok([...told, ...groups.value]) : groups;
    });
  }

  inspect(options: InspectOptions): Promise<Result<Inspection>> {
    return this.#alone(async () => {
      // they speak of the folders by their numbers
      this.#joints = [];
      await this.#takeIn();
      const began = this.#clock.mono();
      const found = new Map<Member, Inspection>();
      for (const member of this.#folders.members) {
        const budgetMs = Math.max(0, options.budgetMs - (this.#clock.mono() - began));
        const seen = await member.store.inspect({ ...options, budgetMs });
        if (!seen.ok) return seen;
        found.set(member, seen.value);
      }
      const lines = await this.#lines(found);
      for (const line of lines) this.#sayIfAtOnce(line);
      this.#joints = joinLines(lines);
      const newest = this.#joints.findLast(({ fact }) => isUsable(fact.standing));
      // an older folder of a glob may be in any state: the framework goes on from the newest one
      const disorders = this.#folders.members.flatMap((member, folder) => {
        const disorder = found.get(member)?.disorder;
        const counts = newest?.parts.some((part) => part.folder === folder);
        return disorder !== undefined && counts ? [`${member.name}: ${disorder}`] : [];
      });
      return ok({
        checkpoints: this.#joints.map(({ fact }) => fact),
        foreign: [...found].flatMap(([{ name }, { foreign }]) => foreign.map((one) => `${name}/${one}`)),
        ...(disorders.length > 0 && { disorder: disorders.join('; ') }),
      });
    });
  }

  async credit(healthy: { readonly ms: number; readonly steps: number }): Promise<void> {
    for (const { store } of this.#folders.members) await store.credit(healthy);
  }

  mark(id: string, standing: Standing, why: string): Promise<Result<void>> {
    return this.#each(id, (store, own) => store.mark(own, standing, why));
  }

  async retain(): Promise<void> {
    for (const { store } of this.#folders.members) await store.retain();
  }

  /** Each folder by itself: what they hold of one moment is kept by the same rules. */
  async prune(options: Parameters<CheckpointStore['prune']>[0]): Promise<Result<Pruned>> {
    const all: { keep: Prunable[]; drop: Prunable[] } = { keep: [], drop: [] };
    for (const { store, name } of this.#folders.members) {
      const pruned = await store.prune(options);
      if (!pruned.ok) return pruned;
      for (const part of ['keep', 'drop'] as const)
        all[part].push(...pruned.value[part].map((one) => ({ ...one, id: `${name}/${one.id}` })));
    }
    return ok(all);
  }

  async keep(options: Parameters<CheckpointStore['keep']>[0]): Promise<void> {
    for (const { store } of this.#folders.members) await store.keep(options);
  }

  pin(id: string, on: boolean): Promise<Result<void>> {
    return this.#each(id, (store, own) => store.pin(own, on));
  }

  plan(request: RollbackRequest): Promise<Result<RollbackPlan>> {
    return this.#alone(async () => {
      const order = orderFor(this.#joints, request);
      return order.ok ? this.#rollback.plan(order.value, request) : order;
    });
  }

  /** Damaged as soon as one folder's part of it is. */
  async vet(id: string, afresh = false): Promise<Result<string | undefined>> {
    let damage: string | undefined;
    const read = await this.#each(id, async (store, own) => {
      const vetted = await store.vet(own, afresh);
      if (vetted.ok && vetted.value !== undefined) damage ??= `${own} in ${store.dir}: ${vetted.value}`;
      return vetted.ok ? ok(undefined) : vetted;
    });
    return read.ok ? ok(damage) : read;
  }

  rollback(request: RollbackRequest): Promise<Result<RollbackDone>> {
    return this.#alone(async () => {
      const order = orderFor(this.#joints, request);
      return order.ok ? this.#rollback.rollBack(order.value, request, this.#clock.now()) : order;
    });
  }

  undo(tx?: string): Promise<Result<RollbackDone>> {
    return this.#alone(() => this.#rollback.undo(tx));
  }

  async best(): Promise<string | undefined> {
    for (const [folder, { store }] of this.#folders.members.entries()) {
      const id = await store.best();
      const joint = this.#joints.findLast(({ parts }) =>
        parts.some((part) => part.folder === folder && part.fact.id === id),
      );
      if (joint) return joint.fact.id;
    }
    return undefined;
  }

  watch(changed: () => void): () => void {
    const callback = (): void => changed();
    const look = setInterval(() => void this.#lookForMore(callback), globEveryMs).unref();
    const ends = this.#folders.members.map(({ store }) => store.watch(callback));
    this.#watches.set(callback, [...ends, () => clearInterval(look)]);
    return () => {
      for (const end of this.#watches.get(callback) ?? []) end();
      this.#watches.delete(callback);
    };
  }

  async close(): Promise<void> {
    for (const end of [...this.#watches.values()].flat()) end();
    this.#watches.clear();
    await this.#queue;
    await this.#folders.close();
  }

  /** Does something with every folder's part of a checkpoint. */
  #each(
    id: string,
    work: (store: CheckpointStore, own: string) => Promise<Result<void>>,
  ): Promise<Result<void>> {
    return this.#alone(async () => {
      const joint = this.#joints.find(({ fact }) => fact.id === id);
      if (!joint) return fail(`there is no checkpoint ${JSON.stringify(id)} in ${this.dirs.join(', ')}`, exitStatus.failed); // prettier-ignore
      for (const { folder, fact } of joint.parts) {
        const store = this.#folders.members[folder]?.store;
        const done = store ? await work(store, fact.id) : ok(undefined);
        if (!done.ok) return done;
      }
      return ok(undefined);
    });
  }

  async #takeIn(): Promise<void> {
    for (const { store } of await this.#folders.refresh())
      for (const [callback, ends] of this.#watches) ends.push(store.watch(callback));
  }

  async #lookForMore(found: () => void): Promise<void> {
    if (await this.#folders.hasMore()) found();
  }

  async #lines(found: ReadonlyMap<Member, Inspection>): Promise<Line[]> {
    const lines: Line[] = [];
    for (const [index, pattern] of this.#folders.patterns.entries()) {
      const members = this.#folders.members.filter((member) => member.line === index);
      for (const member of members) {
        const has = (found.get(member)?.checkpoints.length ?? 0) > 0;
        if (has || (!this.#had.has(member) && (await this.#rollback.everHeld(member)))) this.#had.add(member);
      }
      lines.push({
        name: members.map(({ name }) => name).join(', ') || pattern,
        had: members.some((member) => this.#had.has(member)),
        parts: members.flatMap((member) => {
          const folder = this.#folders.members.indexOf(member);
          const facts = found.get(member)?.checkpoints ?? [];
          return facts.map((fact) => ({ folder, name: `${member.name}/${fact.id}`, fact }));
        }),
      });
    }
    return lines;
  }

  #sayIfAtOnce(line: Line): void {
    const both = writtenAtOnce(line);
    if (!both || this.#toldAtOnce.has(line.name)) return;
    this.#toldAtOnce.add(line.name);
    this.#notice(
      `${both[0].name} and ${both[1].name} are written at the same time, but folders that one glob matches are taken as following one another; if they are parts of the same checkpoints, name each with its own --checkpoint-dir`,
    );
  }

  /** One after the other, so that a look never sees a half-done rollback. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }
}
