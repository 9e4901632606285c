import path from 'node:path';
import type { CheckpointFact } from '../../policy/checkpoint.js';
import type { RollbackDone, RollbackPlan, RollbackRequest } from '../../supervisor/ports.js';
import { writersUnder } from '../../util/os/dir-writers.js';
import { errorCode, errorText } from '../../util/os/durable.js';
import { exitStatus, fail, ok, type Problem, type Result } from '../../util/result.js';
import type { Inspector, InspectorParts } from '../inspector.js';
import type { Manifest } from '../manifest.js';
import { writerOf } from '../quiet.js';
import { bestLeft } from '../select.js';
import type { Spare } from '../spares/spare.js';
import type { Unit } from '../unit.js';
import type { Applied } from './apply.js';
import { assemble, planOf, type Before } from './assemble.js';
import { openIntents } from './journal.js';
import { liveOf, type RollbackPlace } from './place.js';
import { finishRollbacks, rollBack, rolledBackAlready, undoRollback } from './transaction.js';
import { whyImmovable } from '../vault.js';
import { vetSpare, vetUnit } from './vet.js';

export interface RollbacksParts extends InspectorParts {
  readonly guessed: boolean;
  /** Undefined: there is none, and none may be made. */
  readonly vault: string | undefined;
  readonly notice: (text: string) => void;
}

/** What the store does by transactions: looks at the folder, refuses or vets, and has it done. */
export class Rollbacks {
  readonly #parts: RollbacksParts;
  readonly #inspector: Inspector;
  readonly #openedAt: number;
  /** What was read last and found good: the rollback that follows does not read it again. */
  #sound: Manifest | undefined;

  constructor(parts: RollbacksParts, inspector: Inspector) {
    this.#parts = parts;
    this.#inspector = inspector;
    this.#openedAt = parts.clock.now();
  }

  /** @returns what was finished, in words */
  async recover(): Promise<Result<readonly string[]>> {
    const { vault, dir, readOnly, notice } = this.#parts;
    if (vault === undefined) return ok([]);
    if (readOnly) {
      const open = await openIntents(vault);
      return open.ok
        ? ok(open.value.map(({ tx }) => `the rollback ${tx} was cut off and is not finished yet`))
        : open;
    }
    const finished = await finishRollbacks({ dir, vault });
    if (!finished.ok) return finished;
    for (const skipped of finished.value.flatMap((one) => one.skipped)) notice(skipped);
    return ok(
      finished.value.map(
        (applied) => `the rollback ${applied.tx} had been cut off and was finished: ${told(applied)}`,
      ),
    );
  }

  async plan(request: RollbackRequest): Promise<Result<RollbackPlan>> {
    const { dir, vault } = this.#parts;
    const before = await this.#look(request);
    const assembly = await assemble(request, before);
    if (!assembly.ok) return assembly;
    // several folders go back together only if each can: none may find out after another has gone
    const refusal = this.#parts.readOnly ? undefined : await this.#immovable(assembly.value.leaving);
    if (refusal) return { ok: false, error: refusal };
    return ok(planOf(assembly.value, { dir, vault, spare: before.spare }));
  }

  async vet(id: string, afresh = false): Promise<Result<string | undefined>> {
    return ok(await this.#vet(id, await this.#look({ target: id, moves: [], reason: '' }), afresh));
  }

  /** @param facts of the last inspection, for who refuses to say what is left */
  async rollback(request: RollbackRequest, facts: readonly CheckpointFact[]): Promise<Result<RollbackDone>> {
    const place = this.#place();
    if (!place.ok) return place;
    const already = request.tx === undefined ? undefined : await rolledBackAlready(place.value, request.tx);
    if (already) return already.ok ? ok(doneOf(place.value, already.value)) : already;
    const before = await this.#look(request);
    const assembly = await assemble(request, before);
    if (!assembly.ok) return assembly;
    const { pieces, moves, leaving, vanished } = assembly.value;
    for (const id of vanished) this.#parts.notice(`${id} vanished before it could be moved`);
    const refusal = (await this.#refusal(leaving)) ?? (await this.#damage(request, before, facts));
    if (refusal) return { ok: false, error: refusal };
    const { target, reason, tx, onProgress } = request;
    const applied = await rollBack(place.value, {
      ...{ pieces, moves, reason, at: this.#parts.clock.now() },
      ...(target !== undefined && { target }),
      ...(tx !== undefined && { tx }),
      ...(onProgress && { onProgress }),
    });
    if (!applied.ok) {
      // its bytes were held against their digests on the way
      if (before.spare && applied.error.exit === exitStatus.failed)
        await this.#markSpare(before.spare.spare, applied.error.message);
      return applied;
    }
    for (const skipped of applied.value.skipped) this.#parts.notice(skipped);
    if (before.spare) await this.#restored(before.spare.spare);
    return ok(doneOf(place.value, applied.value));
  }

  /** @param own the name of the reversal, which if cut off is gone on with */
  async undo(own: string, tx?: string): Promise<Result<RollbackDone>> {
    const place = this.#place();
    if (!place.ok) return place;
    const { units } = await this.#parts.scanner.scan(() => false);
    const refusal = await this.#writing(units);
    if (refusal) return { ok: false, error: refusal };
    const applied = await undoRollback(place.value, this.#parts.clock.now(), tx, own);
    if (!applied.ok) return applied;
    for (const skipped of applied.value.skipped) this.#parts.notice(skipped);
    return ok(doneOf(place.value, applied.value));
  }

  #place(): Result<RollbackPlace> {
    const { vault, dir, readOnly } = this.#parts;
    if (vault !== undefined && !readOnly) return ok({ dir, vault });
    return fail(`the checkpoint folder ${dir} was opened for reading only`, exitStatus.internal);
  }

  async #look({ target }: RollbackRequest): Promise<Before> {
    const { dir, scanner, shelf } = this.#parts;
    const { layout, units } = await scanner.scan(() => false);
    // a name in the folder comes before the same one in the vault
    const kept = target !== undefined && !units.some((unit) => unit.id === target);
    const spare = kept ? await shelf.get(target) : undefined;
    return { dir, units, layout, look: await scanner.look(), spare };
  }

  /** What forbids a move: that it is not this run's, or a writer that would go on writing into quarantine. */
  async #refusal(units: readonly Unit[]): Promise<Problem | undefined> {
    const { dir, guessed } = this.#parts;
    const foreign = guessed && units.find((unit) => !this.#inspector.isOurs(unit));
    if (!foreign) return (await this.#writing(units)) ?? (await this.#immovable(units));
    const message = `${foreign.id} was not written by this run, and ${dir} was only guessed; name the folder with --checkpoint-dir to allow it to be moved`;
    return { message, exit: exitStatus.config };
  }

  async #immovable(units: readonly Unit[]): Promise<Problem | undefined> {
    const { dir, vault } = this.#parts;
    for (const member of units.flatMap((unit) => unit.members)) {
      const why = vault === undefined ? undefined : await whyImmovable(path.join(dir, member.path), vault);
      if (why !== undefined) return { message: `${why}; nothing was moved`, exit: exitStatus.config };
    }
    return undefined;
  }

  async #writing(units: readonly Unit[]): Promise<Problem | undefined> {
    const { dir } = this.#parts;
    const writers = await writersUnder(dir);
    for (const unit of units) {
      const writer = writerOf(unit, dir, writers);
      if (!writer) continue;
      const message = `process ${writer.pid} has ${writer.path} open for writing; stop it before ${unit.id} is moved`;
      return { message, exit: exitStatus.busy };
    }
    return undefined;
  }

  /** Nothing leaves the folder for a target that is damaged. */
  async #damage(
    { target }: RollbackRequest,
    before: Before,
    facts: readonly CheckpointFact[],
  ): Promise<Problem | undefined> {
    if (target === undefined) return undefined;
    const damage = await this.#vet(target, before);
    this.#sound = undefined;
    if (damage === undefined) return undefined;
    const message = `${JSON.stringify(target)} is damaged: ${damage}; nothing was moved; ${bestLeft(facts, target)}`;
    return { message, exit: exitStatus.failed };
  }

  /** @returns what is wrong with it; it is marked so that the next choice is another one */
  async #vet(target: string, { units, spare }: Before, afresh = false): Promise<string | undefined> {
    const { content, dir, standings, shelf, readOnly } = this.#parts;
    const vetting = { ...content, mode: content.verify, since: afresh ? Infinity : this.#openedAt };
    const unit = units.find((one) => one.id === target);
    const manifest = unit
      ? await this.#inspector.manifestOf(unit)
      : spare && (await standings.ofSpare(spare.spare));
    if (!manifest || (manifest === this.#sound && !afresh)) return undefined;
    const damage = unit
      ? await vetUnit(dir, unit, manifest, vetting)
      : spare && (await vetSpare(spare, manifest, vetting));
    if (damage === undefined) this.#sound = manifest;
    else if (readOnly) return damage;
    else if (unit) await standings.mark(manifest, 'corrupt', damage, await shelf.list());
    else if (spare) await this.#markSpare(spare.spare, damage);
    return damage;
  }

  /** Under its own name: of the files that it was taken of it says nothing. */
  async #markSpare(spare: Spare, damage: string): Promise<void> {
    const { standings } = this.#parts;
    await standings.mark({ ...(await standings.ofSpare(spare)), id: spare.id }, 'corrupt', damage);
  }

  /** The rollback is done: what cannot be written down of it is found out anew. */
  async #restored(spare: Spare): Promise<void> {
    try {
      await this.#inspector.restored(spare);
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      this.#parts.notice(
        `what is known of ${spare.of} could not be kept: ${errorText(error)}; it is verified anew`,
      );
    }
  }
}

function told({ moved, put }: Applied): string {
  const names = moved.map((one) => one.name).join(', ');
  const back = put.filter((one) => one.why === 'restore' || one.why === 'undo').map((one) => one.name);
  return `quarantined ${names || 'nothing'}${back.length > 0 ? `, put back ${back.join(', ')}` : ''}`;
}

function doneOf(place: RollbackPlace, { tx, moved, put }: Applied): RollbackDone {
  const restored = new Map<string, string>();
  // the main one of its files comes first
  for (const one of put)
    if ((one.why === 'restore' || one.why === 'undo') && !restored.has(one.id))
      restored.set(one.id, liveOf(place, one));
  return {
    tx,
    moved: moved
      .filter(({ id, name }) => id === name || id.startsWith('/'))
      .map(({ id, to }) => ({ id, to })),
    restored: [...restored].map(([id, to]) => ({ id, to })),
    others: put.flatMap((one) => one.words ?? []),
  };
}
