import type { Pruned } from '../../supervisor/ports.js';
import type { Result } from '../../util/result.js';
import type { Inspector } from '../inspector.js';
import type { KeepRules } from './decide.js';
import { Keeper, type KeeperParts, type Look } from './keeper.js';
import { freeReserve, isFull } from './reserve.js';

/** What holds where the configuration says nothing (CHECKPOINTS.md). */
export const usualRules: KeepRules = {
  last: 2,
  folder: false,
  quarantine: { last: 2, withinMs: 7 * 86_400_000 },
};

export interface RetentionParts extends Omit<KeeperParts, 'vault'> {
  /** Undefined: there is none, and nothing to remove. */
  readonly vault: string | undefined;
  readonly readOnly: boolean;
}

/** The store's part in retention: what is removed, when, and by whom it is asked. */
export class Retention {
  readonly #parts: RetentionParts;
  readonly #inspector: Inspector;
  readonly #keeper: Keeper | undefined;

  constructor(parts: RetentionParts, inspector: Inspector) {
    this.#parts = parts;
    this.#inspector = inspector;
    const { vault, readOnly } = parts;
    if (vault !== undefined && !readOnly) this.#keeper = new Keeper({ ...parts, vault });
  }

  /** As of the last inspection. @param best the id that the framework records as the best */
  async tidy(best: string | undefined): Promise<void> {
    await this.#keeper?.tidy(this.#look(best));
  }

  /** @param options folder: the checkpoint folder too, whatever the rules say */
  async prune(
    options: { readonly dryRun: boolean; readonly folder: boolean },
    best: string | undefined,
  ): Promise<Pruned> {
    const { vault, keep } = this.#parts;
    if (vault === undefined) return { keep: [], drop: [] };
    const rules = { ...keep, folder: keep.folder || options.folder };
    const keeper = new Keeper({ ...this.#parts, vault, keep: rules });
    const look = this.#look(best);
    const decision = await keeper.decide(look);
    if (!options.dryRun) await keeper.carryOut(decision, look);
    return decision;
  }

  /** Does it again with the room of the reserve if the disk was full: what is tried must bear to be begun twice. */
  async withReserve<T>(work: () => Promise<Result<T>>): Promise<Result<T>> {
    const first = await work();
    const { vault } = this.#parts;
    return vault !== undefined && isFull(first) && (await freeReserve(vault)) ? work() : first;
  }

  #look(best: string | undefined): Look {
    const { seen, spares } = this.#inspector;
    const members = new Map(seen.map(({ unit }) => [unit.id, unit.members] as const));
    return {
      live: seen.map(({ fact }) => fact),
      spares,
      membersOf: (id) => members.get(id) ?? [],
      ...(best !== undefined && { best }),
    };
  }
}
