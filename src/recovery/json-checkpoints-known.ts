import path from 'node:path';
import { errorCode } from '../util/os/durable.js';
import type { CheckpointName } from './json-checkpoints-names.js';
import { type Seen, verify } from './json-checkpoints-read.js';
import { removeQuietly } from './json-checkpoints-write.js';

/** What is known of one worker's checkpoints in this life, and what may go. */
export class KnownCheckpoints {
  /** Saves of one worker get their names one after the other. */
  turn: Promise<unknown> = Promise.resolve();
  swept = false;
  /** The newest that was saved or verified here. */
  #newestGood = '';
  readonly #good = new Set<string>();
  readonly #damaged = new Set<string>();
  readonly #onNotice: (message: string) => void;

  constructor(onNotice: (message: string) => void) {
    this.#onNotice = onNotice;
  }

  /** It was saved, or verified. */
  noteGood(name: string): void {
    this.#good.add(name);
    if (name > this.#newestGood) this.#newestGood = name;
  }

  noteDamaged(file: string, why: string): void {
    const name = path.basename(file);
    if (this.#damaged.has(name)) return;
    this.#damaged.add(name);
    this.#onNotice(`${file} is damaged (${why}) and is passed over; it is left as it is`);
  }

  /**
   * Lets the oldest go. What is damaged does not count as kept and stays, for a person to see to.
   * @param names the newest first
   */
  async prune(folder: string, names: readonly CheckpointName[], keep: number): Promise<void> {
    let kept = 0;
    for (const one of names) {
      if (this.#damaged.has(one.name)) continue;
      if (kept < keep || one.name === this.#newestGood) kept++;
      else if (await this.#isGood(folder, one)) {
        await removeQuietly(path.join(folder, one.name));
        this.#good.delete(one.name);
      }
    }
  }

  /** Of those of an earlier life that is not known yet. */
  async #isGood(folder: string, { name, sha256 }: CheckpointName): Promise<boolean> {
    if (this.#good.has(name)) return true;
    const file = path.join(folder, name);
    let seen: Seen;
    try {
      seen = await verify(file, sha256);
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      return false; // what cannot be read now is looked at again at the next save
    }
    if (seen.type === 'damaged') this.noteDamaged(file, seen.why);
    if (seen.type === 'verified') await seen.close();
    return seen.type === 'verified';
  }
}

/**
 * There are checkpoints, and none of them is whole.
 * @example
 * ```ts
 * import { DamagedCheckpointsError, RecoveryManager } from 'trainguard';
 *
 * const manager = new RecoveryManager();
 * const state = await manager.loadCheckpoint('w7').catch((error: unknown) => {
 *   if (error instanceof DamagedCheckpointsError) console.error(error.message); // says what to move away to begin anew
 *   throw error;
 * });
 * console.log(state); // null
 * ```
 */
export class DamagedCheckpointsError extends Error {
  /** For who has no class to compare with. */
  override readonly name = 'DamagedCheckpointsError';

  /**
   * @param where whose, and in which folder
   * @internal
   */
  constructor(where: string, damaged: readonly string[]) {
    const [why = ''] = damaged;
    super(
      damaged.length === 1
        ? `the only checkpoint ${where} is damaged (${why}); move it away to begin anew`
        : `all ${damaged.length} checkpoints ${where} are damaged (the newest: ${why}); move them away to begin anew`,
    );
  }
}
