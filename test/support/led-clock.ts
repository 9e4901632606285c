import { setImmediate as settled } from 'node:timers/promises';
import type { RecoveryClock } from '../../src/recovery/ports.js';

/** Time that passes only when a test says so. */
export class LedClock implements RecoveryClock {
  #mono = 0;
  readonly #timers = new Set<{ readonly at: number; readonly call: () => void }>();

  now = (): number => 1_700_000_000_000 + this.#mono;
  mono = (): number => this.#mono;

  after(ms: number, call: () => void): () => void {
    const timer = { at: this.#mono + ms, call };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Lets time pass; what falls due on the way is done, and what it begins is settled, one after the other. */
  async pass(ms: number): Promise<void> {
    const end = this.#mono + ms;
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
      if (!next) break;
      this.#timers.delete(next);
      this.#mono = next.at;
      next.call();
      await settled();
    }
    this.#mono = end;
  }
}
