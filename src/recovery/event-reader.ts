import type { RecoveryEvent } from './types.js';

/** More than one tick can bring when ten thousand workers fall silent at once. */
export const eventBound = 100_000;

type Next = IteratorResult<RecoveryEvent, undefined>;

/**
 * One reader's events, in their order. A reader that falls behind by more than `eventBound` gets what had been kept for
 * it, and then an error: memory does not grow for it, and nothing is left out unsaid.
 */
export class EventReader implements AsyncIterableIterator<RecoveryEvent, undefined> {
  readonly #onEnd: (reader: EventReader) => void;
  #incoming: RecoveryEvent[] = [];
  /** The oldest last: taking from the end of a list is cheap. */
  #outgoing: RecoveryEvent[] = [];
  #waiting: ((next: Next) => void)[] = [];
  #ended = false;
  #error: Error | undefined;

  constructor(onEnd: (reader: EventReader) => void) {
    this.#onEnd = onEnd;
  }

  push(event: RecoveryEvent): void {
    if (this.#ended) return;
    const resolve = this.#waiting.shift();
    if (resolve) resolve({ done: false, value: event });
    else if (this.#incoming.length + this.#outgoing.length < eventBound) this.#incoming.push(event);
    else this.end(new Error(`more than ${eventBound} events waited to be read: this reader is too slow`));
  }

  /** No more come. Those that are kept can still be read, and after them comes the error, if any. */
  end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    for (const resolve of this.#waiting) resolve({ done: true, value: undefined });
    this.#waiting = [];
    this.#onEnd(this);
  }

  next(): Promise<Next> {
    const value = this.#oldest();
    if (value) return Promise.resolve({ done: false, value });
    const error = this.#error;
    this.#error = undefined;
    if (error) return Promise.reject(error);
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** What `break` out of a loop over it calls. */
  return(): Promise<Next> {
    this.end();
    this.#incoming = [];
    this.#outgoing = [];
    this.#error = undefined;
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #oldest(): RecoveryEvent | undefined {
    if (this.#outgoing.length === 0) {
      this.#outgoing = this.#incoming.reverse();
      this.#incoming = [];
    }
    return this.#outgoing.pop();
  }
}
