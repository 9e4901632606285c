import { type CheckpointFact, isSameCheckpoint } from '../policy/checkpoint.js';

/** Where a checkpoint lies, and which of those that lay there it is. */
export type Place = Pick<CheckpointFact, 'path' | 'modifiedAt'>;

/** What one rollback went back past. */
export interface GoneBack {
  /** Further than damage called for: what was resumed from may be to blame. */
  readonly deeper: boolean;
  /** The transaction that moved it; undefined: nothing may be moved. */
  readonly tx?: string;
  readonly passed: readonly Place[];
  /** What stayed in the folder. */
  readonly left: readonly Place[];
}

const placesKept = 1000;

export const isAmong = (one: Place, places: readonly Place[]): boolean =>
  places.some((other) => isSameCheckpoint(one, other));

/** What a training has gone back past since it last got further. */
export class GoneBackPast {
  #passed: readonly Place[] = [];
  #deeper: readonly GoneBack[] = [];

  /** What is not to be resumed from although it lies where it lay. */
  get places(): readonly Place[] {
    return [...this.#passed, ...this.#deeper.flatMap(inPlace)];
  }

  note(one: GoneBack): void {
    if (one.deeper) this.#deeper = [...this.#deeper, one];
    else this.#passed = [...this.#passed, ...inPlace(one)].slice(-placesKept);
  }

  /** To go back that far was right. */
  cured(): void {
    const deeper = this.#deeper;
    this.#deeper = [];
    for (const one of deeper) this.note({ ...one, deeper: false });
  }

  /** To go back that far was no cure. @returns what is to be put back, the newest first */
  inVain(): readonly GoneBack[] {
    const deeper = this.#deeper;
    this.#deeper = [];
    return deeper.filter(({ tx }) => tx !== undefined).reverse();
  }
}

const inPlace = ({ tx, passed }: GoneBack): readonly Place[] => (tx === undefined ? passed : []);
