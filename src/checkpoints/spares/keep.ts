import { errorCode, errorText } from '../../util/os/durable.js';
import { formatBytes } from '../../util/text.js';
import type { SeenUnit } from '../inspector.js';
import { parseName } from '../layouts/names.js';
import { discard } from '../retention/trash.js';
import { freeBytesIn } from '../retention/room.js';
import { modifiedAt, sizeOf } from '../unit.js';
import { Copier } from './copy.js';
import type { SeenSpare } from './facts.js';
import { hasRoom, isTooSoon, worthKeeping } from './rules.js';
import type { Shelf } from './shelf.js';
import { damageOf, isShared, spareId, speaksOf, type Spare } from './spare.js';
import { sweepDrafts, takeSpare, type Taken } from './take.js';

export interface KeepingParts {
  /** The checkpoint folder, a real path. */
  readonly dir: string;
  readonly vault: string;
  readonly guessed: boolean;
  readonly runId: string;
  readonly shelf: Shelf;
  readonly clock: { now(): number; mono(): number };
  readonly notice: (text: string) => void;
}

export interface KeepOptions {
  /** The worker is at work: what it saves too fast is left until it has ended. */
  readonly live: boolean;
  /** Gives up what is being copied. */
  readonly signal?: AbortSignal;
}

/** The file system has no hard links, or has as many to this file as it can. */
const cannotLink: ReadonlySet<string> = new Set(['EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'EXDEV']);

/** Takes spares of what a rollback may need; what of them goes again, retention decides. Nothing here ends a run. */
export class Keeping {
  readonly #parts: KeepingParts;
  readonly #copier = new Copier();
  /** Series that turned out to be rewritten in place, or that cannot be linked. */
  readonly #copied = new Set<string>();
  readonly #copies = new Map<string, { readonly tookMs: number; readonly endedMono: number }>();
  readonly #said = new Set<string>();
  #swept = false;

  constructor(parts: KeepingParts) {
    this.#parts = parts;
  }

  /**
   * @param seen the checkpoints of the folder as of a look just now, oldest first
   * @param spares as of the same look
   */
  async keep(seen: readonly SeenUnit[], spares: readonly SeenSpare[], options: KeepOptions): Promise<void> {
    try {
      if (!this.#swept) await sweepDrafts(this.#parts.vault);
      this.#swept = true;
      await this.#dropRewritten(seen, spares);
      const wanted = worthKeeping(seen.map((one) => one.fact)).flatMap((fact) => seen.find((one) => one.fact === fact) ?? []); // prettier-ignore
      for (const one of wanted) {
        if (this.#parts.guessed && !one.fact.ours) continue;
        if (!(await this.#isHeld(one))) await this.#take(one, options);
      }
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      this.#sayOnce(`the vault ${this.#parts.vault} cannot keep spares of checkpoints: ${errorText(error)}`);
    }
  }

  async #isHeld({ manifest }: SeenUnit): Promise<boolean> {
    return (await this.#parts.shelf.list()).some((spare) => speaksOf(spare.files, manifest.files));
  }

  /** Takes none where it cannot, for a reason that a person is told if it matters. */
  async #take(one: SeenUnit, options: KeepOptions): Promise<void> {
    const series = parseName(one.unit.id).template;
    const how = one.unit.inPlace === true || this.#copied.has(series) ? 'copy' : 'links';
    try {
      if (how === 'copy') await this.#copy(one, options);
      else await this.#order(one, how, options);
    } catch (error) {
      const code = errorCode(error);
      if (code === undefined) throw error;
      if (how === 'copy' || !cannotLink.has(code)) {
        this.#sayOnce(`no spare of ${one.unit.id} could be kept: ${errorText(error)}; until one can, what the trainer removes or writes over is gone`); // prettier-ignore
        return;
      }
      this.#copied.add(series);
      this.#sayOnce(`${this.#parts.dir} has no hard links (${code}): spares of checkpoints are copies`);
      await this.#take(one, options);
    }
  }

  async #copy(one: SeenUnit, options: KeepOptions): Promise<void> {
    const { clock, dir } = this.#parts;
    const { unit } = one;
    const size = sizeOf(unit);
    const last = this.#copies.get(unit.id);
    if (options.live && last && isTooSoon(last, clock.mono())) {
      this.#sayOnce(`${unit.id} is saved faster than it can be copied: not every save of it has a spare`);
      return;
    }
    if (!hasRoom(await freeBytesIn(dir), size)) {
      this.#sayOnce(`no spare of ${unit.id} is kept: ${formatBytes(size)} more would leave no room for the next save`); // prettier-ignore
      return;
    }
    const beganMono = clock.mono();
    const done = await this.#order(one, 'copy', options);
    const endedMono = clock.mono();
    if (done !== 'aborted') this.#copies.set(unit.id, { tookMs: endedMono - beganMono, endedMono });
  }

  async #order(
    { unit, manifest, fact }: SeenUnit,
    how: Spare['how'],
    { signal }: KeepOptions,
  ): Promise<Taken> {
    const { dir, vault, clock, runId } = this.#parts;
    const spare: Spare = {
      ...{ schemaVersion: 1, id: await this.#freeId(spareId(unit, manifest.step, modifiedAt(unit))) },
      ...{ of: unit.id, how, members: unit.members.map((member) => member.path) },
      ...{ files: manifest.files, folders: unit.folders },
      ...(unit.number === undefined ? {} : { number: unit.number }),
      ...(manifest.step === undefined ? {} : { step: manifest.step }),
      ...{ runId: fact.ours ? runId : (manifest.writtenByRun ?? ''), takenAt: clock.now() },
    };
    return takeSpare({ dir, vault, unit, spare, copier: this.#copier, ...(signal && { signal }) });
  }

  /** Another checkpoint of the same name and step may have one already: before a rollback the training wrote it too. */
  async #freeId(id: string): Promise<string> {
    const ids = new Set((await this.#parts.shelf.list()).map((spare) => spare.id));
    for (let n = 1; ; n++) {
      const free = n === 1 ? id : `${id}.${n}`;
      if (!ids.has(free)) return free;
    }
  }

  /** A hard link does not keep what is written over in place: such a series is copied from then on. */
  async #dropRewritten(seen: readonly SeenUnit[], spares: readonly SeenSpare[]): Promise<void> {
    for (const { held } of spares) {
      const { spare } = held;
      const series = parseName(spare.of).template;
      if (spare.how === 'copy') this.#copied.add(series);
      if (spare.how === 'copy' || damageOf(held) === undefined) continue;
      this.#copied.add(series);
      const unit = seen.find((one) => one.unit.id === spare.of)?.unit;
      if (!isShared(held, unit)) continue;
      this.#sayOnce(`${spare.of} was written over in place, which no hard link outlives: its spare is dropped, and copies are kept from now on`); // prettier-ignore
      await discard(this.#parts.vault, [this.#parts.shelf.folderOf(spare)]);
    }
  }

  #sayOnce(text: string): void {
    if (this.#said.has(text)) return;
    this.#said.add(text);
    this.#parts.notice(text);
  }
}
