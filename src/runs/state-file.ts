import type { Clock } from '../supervisor/ports.js';
import { ok, type Problem, type Result } from '../util/result.js';
import { readState } from './open-run.js';
import { isDamage } from './problems.js';
import { setAside, writeVersioned } from './versioned-file.js';

export { readState } from './open-run.js';

/** At most so often is state.json written, ms (DESIGN section 8). */
const intervalMs = 1000;
/** How often the last state is tried to be written, once an interval. */
const lastTries = 5;

/**
 * Reads state.json for the one who will write it: a damaged one is moved to `state.json.damaged-N`, as the journal has
 * all of it. One that a newer version wrote, or that cannot be read, is a Problem.
 */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- names the content's shape, as in readState
export async function takeOverState<T extends object>(
  file: string,
): Promise<Result<{ readonly state: T | undefined; readonly setAside?: string }>> {
  const read = await readState<T>(file);
  if (read.ok) return ok({ state: read.value });
  // a system error, or a newer version: not ours to move
  if (!isDamage(read.error)) return read;
  const moved = await setAside(file);
  return moved.ok ? ok({ state: undefined, setAside: moved.value }) : moved;
}

/**
 * Keeps state.json near the present without wearing the disk: a save is written at once if the last is a second old,
 * else when it is. A write that fails is reported once and tried again every second until it succeeds; the caller goes
 * on in any case.
 */
export class StateFile<T extends object> {
  readonly file: string;
  readonly #clock: Clock;
  readonly #onTrouble: (problem: Problem) => void;
  #wanted: (() => T | Promise<T>) | undefined;
  #cancelTimer: (() => void) | undefined;
  #lastStartMono = -Infinity;
  #writing: Promise<Result<void>> | undefined;
  #troubled = false;

  constructor(file: string, clock: Clock, onTrouble: (problem: Problem) => void) {
    this.file = file;
    this.#clock = clock;
    this.#onTrouble = onTrouble;
  }

  /** Has the state written soon; `state` is called when it is. */
  save(state: () => T | Promise<T>): void {
    this.#wanted = state;
    if (!this.#writing && !this.#cancelTimer) this.#schedule();
  }

  /** Writes what was last given to `save`, if it is not written yet, and answers once it is on the disk. */
  async flush(): Promise<Result<void>> {
    const last = (await this.#writing) ?? ok(undefined);
    // what was saved while that write was under way may be being written already
    return this.#writing ?? (this.#wanted ? this.#write() : last);
  }

  /** Writes what is left and stops. A disk that takes nothing right then is given some seconds. */
  async close(): Promise<Result<void>> {
    let last = await this.flush();
    for (let tries = 1; !last.ok && tries < lastTries; tries++) {
      await new Promise<void>((resolve) => {
        this.#clock.after(intervalMs, resolve);
      });
      last = await this.flush();
    }
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#wanted = undefined;
    return last;
  }

  #schedule(): void {
    const waitMs = this.#lastStartMono + intervalMs - this.#clock.mono();
    if (waitMs <= 0) {
      void this.#write();
      return;
    }
    this.#cancelTimer = this.#clock.after(waitMs, () => {
      this.#cancelTimer = undefined;
      if (this.#wanted && !this.#writing) void this.#write();
    });
  }

  #write(): Promise<Result<void>> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const state = this.#wanted;
    if (!state) return Promise.resolve(ok(undefined));
    this.#wanted = undefined;
    this.#lastStartMono = this.#clock.mono();
    this.#writing = this.#make(state).then((result) => {
      this.#writing = undefined;
      if (!result.ok) this.#wanted ??= state;
      if (!result.ok && !this.#troubled) this.#onTrouble(result.error);
      this.#troubled = !result.ok;
      if (this.#wanted && !this.#cancelTimer) this.#schedule();
      return result;
    });
    return this.#writing;
  }

  async #make(state: () => T | Promise<T>): Promise<Result<void>> {
    return writeVersioned(this.file, await state());
  }
}
