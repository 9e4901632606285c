import fs from 'node:fs/promises';
import path from 'node:path';
import type { CheckpointFact } from '../../policy/checkpoint.js';
import type { RollbackDone, RollbackPlan, RollbackRequest } from '../../supervisor/ports.js';
import { isGone } from '../../util/os/dir-walk.js';
import { writersUnder } from '../../util/os/dir-writers.js';
import { errorCode, errorText } from '../../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import { newTx, phaseOf, readIntent } from '../rollback/journal.js';
import { undoing, undoneAlready } from '../rollback/undo.js';
import { inVault } from '../vault.js';
import type { Folders, Member } from './folders.js';
import { closeGroup, commitGroup, type Group, type GroupPart, type Known, lastGroup, openGroups, sweepGroups } from './group.js'; // prettier-ignore
import type { FolderOrder } from './order.js';

const nothing: RollbackDone = { tx: '', moved: [], restored: [], others: [] };

/** Rolls several folders back to one step, whole or not at all: a journal over the transactions of each. */
export class GroupRollback {
  readonly #folders: Folders;

  constructor(folders: Folders) {
    this.#folders = folders;
  }

  /** Whether the vault remembers a checkpoint of the folder. */
  async everHeld({ store: { vault } }: Member): Promise<boolean> {
    if (vault === undefined) return false;
    try {
      return (await fs.readdir(path.join(vault, inVault.manifests))).length > 0;
    } catch (error) {
      if (isGone(error)) return false;
      throw error;
    }
  }

  async plan(orders: readonly FolderOrder[], request: RollbackRequest): Promise<Result<RollbackPlan>> {
    const all = { moves: [] as RollbackPlan['moves'][number][], restores: [] as RollbackPlan['restores'][number][], others: [] as string[] }; // prettier-ignore
    for (const [index, order] of orders.entries()) {
      const member = this.#folders.members[order.folder];
      const planned = await member?.store.plan(requestOf(order, request, index === 0));
      if (!member || !planned) continue;
      if (!planned.ok) return planned;
      const named = <T extends { readonly id: string }>(one: T): T => ({
        ...one,
        id: `${member.name}/${one.id}`,
      });
      all.moves.push(...planned.value.moves.map(named));
      all.restores.push(...planned.value.restores.map(named));
      all.others.push(...planned.value.others);
    }
    return ok(all);
  }

  async rollBack(
    orders: readonly FolderOrder[],
    request: RollbackRequest,
    now: number,
  ): Promise<Result<RollbackDone>> {
    const [first] = orders;
    const vault = first && this.#folders.members[first.folder]?.store.vault;
    if (vault === undefined) return fail('there is no checkpoint folder to roll back', exitStatus.failed);
    const possible = await this.#refusal(orders, request);
    if (!possible.ok) return possible;
    const parts = orders.flatMap(({ folder, target, moves }): GroupPart[] => {
      const dir = this.#folders.members[folder]?.store.dir;
      if (dir === undefined) return [];
      return [{ dir, moves: moves.map(knownOf), ...(target && { target: knownOf(target) }) }];
    });
    const group: Group = {
      schemaVersion: 1,
      tx: request.tx ?? newTx(now),
      reason: request.reason,
      doing: 'roll-back',
      parts,
      ...(request.extra && { extra: request.extra }),
    };
    return guarded(async () => {
      await commitGroup(vault, group);
      return this.#forward(vault, group, request);
    });
  }

  /** Reverses the last rollback that was not reversed yet, in every folder. */
  async undo(tx?: string): Promise<Result<RollbackDone>> {
    return guarded(async () => {
      let newest: { vault: string; group: Group } | undefined;
      for (const {
        store: { vault },
      } of this.#folders.members) {
        // prettier-ignore
        if (vault === undefined) continue;
        const last = await lastGroup(vault, tx);
        if (!last.ok) return last;
        if (last.value && (!newest || last.value.tx > newest.group.tx)) newest = { vault, group: last.value };
      }
      // named, it was undone before or never was; without a name none is left
      if (!newest)
        return fail('there is no rollback of these folders to undo', exitStatus.failed, tx && undoneAlready);
      const group: Group = { ...newest.group, doing: 'undo' };
      const possible = await this.#undoRefusal(group);
      if (!possible.ok) return possible;
      await commitGroup(newest.vault, group);
      return this.#forward(newest.vault, group);
    });
  }

  /** Brings what was cut off between folders to its end in all of them. Their own transactions are finished. */
  async finish(): Promise<Result<readonly string[]>> {
    return guarded(async () => {
      const told: string[] = [];
      for (const {
        store: { vault },
      } of this.#folders.members) {
        // prettier-ignore
        if (vault === undefined) continue;
        await sweepGroups(vault);
        const open = await openGroups(vault);
        if (!open.ok) return open;
        for (const group of open.value) {
          const done = await this.#forward(vault, group);
          if (!done.ok) return done;
          told.push(
            `the rollback ${group.tx} had been cut off between folders and was finished in all of them`,
          );
        }
      }
      return ok(told);
    });
  }

  /** Folder by folder; one whose transaction is done is left. */
  async #forward(vault: string, group: Group, request?: RollbackRequest): Promise<Result<RollbackDone>> {
    let all: RollbackDone = { ...nothing, tx: group.tx };
    const onProgress = request?.onProgress && { onProgress: request.onProgress };
    for (const [index, part] of group.parts.entries()) {
      const member = this.#folders.members.find(({ store }) => store.dir === part.dir);
      if (!member) return fail(`the rollback ${group.tx} was cut off and takes ${part.dir} in as well; name that folder too`, exitStatus.config); // prettier-ignore
      const extra = index === 0 ? group.extra : undefined;
      const done = await this.#one(member, group, part, { ...(extra && { extra }), ...onProgress });
      if (!done.ok) return done;
      all = joined(all, done.value, member.name);
    }
    await closeGroup(vault, group);
    return ok(all);
  }

  async #one(
    { store }: Member,
    { tx, doing, reason }: Group,
    part: GroupPart,
    more: Pick<RollbackRequest, 'extra' | 'onProgress'>,
  ): Promise<Result<RollbackDone>> {
    const phase = store.vault === undefined ? undefined : await phaseOf(store.vault, tx);
    if (doing === 'undo')
      return phase === 'done' && !(await hadNothing(store.vault, tx)) ? store.undo(tx) : ok(nothing);
    if (phase !== undefined) return ok(nothing);
    // meanwhile a training begun by hand may have written others under the same names
    const seen = await store.inspect({ live: false, budgetMs: 0 });
    if (!seen.ok) return seen;
    const still = (known: Known): boolean =>
      seen.value.checkpoints.some((fact) => fact.id === known.id && isSame(knownOf(fact), known));
    const order = { tx, reason, moves: part.moves.filter(still).map(({ id }) => id), ...more };
    if (!part.target || !still(part.target)) return store.rollback(order);
    const done = await store.rollback({ ...order, target: part.target.id });
    // a target that turns out to be damaged is marked so: the others are on their way, and the next look goes further back
    const isDamaged = !done.ok && done.error.exit === exitStatus.failed && done.error.code === undefined;
    return isDamaged ? store.rollback(order) : done;
  }

  /** Each folder is asked before any is touched: one that refuses later would hold all of them half-way. */
  async #undoRefusal({ tx, parts }: Group): Promise<Result<unknown>> {
    for (const { dir } of parts) {
      const vault = this.#folders.members.find(({ store }) => store.dir === dir)?.store.vault;
      if (vault === undefined) return fail(`the rollback ${tx} took ${dir} in as well; name that folder too`, exitStatus.config); // prettier-ignore
      if (await hadNothing(vault, tx)) continue;
      const possible = await undoing({ dir, vault }, { tx: newTx(0), at: 0, named: tx });
      if (!possible.ok) return possible;
    }
    return ok(undefined);
  }

  /** Each folder is asked before any is touched. */
  async #refusal(orders: readonly FolderOrder[], request: RollbackRequest): Promise<Result<unknown>> {
    for (const { folder, moves } of orders) {
      const store = this.#folders.members[folder]?.store;
      if (!store) continue;
      const inTheWay = moves.map(({ id }) => path.join(store.dir, id));
      const writer = (await writersUnder(store.dir)).find(({ path: file }) =>
        inTheWay.some((one) => file === one || file.startsWith(`${one}/`)),
      );
      if (writer) return fail(`process ${writer.pid} has ${writer.path} open for writing; stop it before the checkpoint is moved`, exitStatus.busy); // prettier-ignore
    }
    return this.plan(orders, request);
  }
}

/** Whether a folder was taken in by a rollback, and had nothing to do for it. */
async function hadNothing(vault: string | undefined, tx: string): Promise<boolean> {
  const intent = vault === undefined ? undefined : await readIntent(vault, tx, 'done');
  return intent?.ok === true && intent.value.puts.length + intent.value.moves.length === 0;
}

const knownOf = ({ id, modifiedAt, sizeBytes }: CheckpointFact): Known => ({ id, modifiedAt, sizeBytes });
const isSame = (a: Known, b: Known): boolean => a.modifiedAt === b.modifiedAt && a.sizeBytes === b.sizeBytes;

function requestOf(order: FolderOrder, request: RollbackRequest, first: boolean): RollbackRequest {
  const { target, moves } = order;
  return {
    moves: moves.map(({ id }) => id),
    reason: request.reason,
    ...(target && { target: target.id }),
    ...(first && request.extra && { extra: request.extra }),
  };
}

function joined(all: RollbackDone, more: RollbackDone, name: string): RollbackDone {
  const named = (one: { readonly id: string; readonly to: string }): typeof one => ({
    ...one,
    id: `${name}/${one.id}`,
  });
  return {
    tx: all.tx,
    moved: [...all.moved, ...more.moved.map(named)],
    restored: [...all.restored, ...more.restored.map(named)],
    others: [...all.others, ...more.others],
  };
}

async function guarded<T>(work: () => Promise<Result<T>>): Promise<Result<T>> {
  try {
    return await work();
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    return fail(`the checkpoint folders could not be rolled back: ${errorText(error)}; nothing is lost, and what was begun is finished at the next start`, exitStatus.internal, code); // prettier-ignore
  }
}
