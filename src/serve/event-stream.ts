import type { Frame } from './events.js';

/** Sent at one go. */
const batchBytes = 64 * 1024;
/** Turns of the clock that a reader may leave what waits for it untaken. */
const patience = 2;

/** The part of the log that its readers use. */
interface Frames {
  readonly first: number;
  readonly next: number;
  frame(number: number): Frame | undefined;
}

/**
 * One reader's place in the log. Not a generator: `return` of one waits until its `next` is done, which here is perhaps
 * never.
 */
export class EventStream implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #log: Frames;
  readonly #workerId: string | undefined;
  readonly #cut: () => void;
  readonly #ended: () => void;
  #greeting: Uint8Array | undefined;
  #at: number;
  #taker: ((result: IteratorResult<Uint8Array, undefined>) => void) | undefined;
  #over = false;
  #turns = 0;
  #untaken = 0;

  constructor(
    log: Frames,
    at: number,
    greeting: Uint8Array,
    reader: { workerId?: string; cut: () => void },
    ended: () => void,
  ) {
    this.#log = log;
    this.#at = at;
    this.#greeting = greeting;
    this.#workerId = reader.workerId;
    this.#cut = reader.cut;
    this.#ended = ended;
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#untaken = 0;
    if (!this.#over && this.#at < this.#log.first) this.#cutOff();
    const bytes = this.#over ? undefined : this.#take();
    if (this.#over) return Promise.resolve({ done: true, value: undefined });
    if (bytes) return Promise.resolve({ done: false, value: bytes });
    return new Promise((resolve) => {
      this.#taker = resolve;
    });
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** There may be something for it. */
  wake(): void {
    if (!this.#taker) return;
    const bytes = this.#take();
    if (bytes) this.#give({ done: false, value: bytes });
  }

  /** One turn of the clock; after `most` of them it ends. */
  turn(most: number): void {
    this.#turns++;
    if (this.#taker && this.#turns >= most) this.end();
    else if (this.#taker) this.#give({ done: false, value: comment });
    else if (++this.#untaken >= patience) this.#cutOff();
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#ended();
    this.#give({ done: true, value: undefined });
  }

  #cutOff(): void {
    this.end();
    this.#cut();
  }

  #give(result: IteratorResult<Uint8Array, undefined>): void {
    const taker = this.#taker;
    this.#taker = undefined;
    taker?.(result);
  }

  #take(): Uint8Array | undefined {
    const chunks = this.#greeting ? [this.#greeting] : [];
    this.#greeting = undefined;
    let bytes = 0;
    for (; this.#at < this.#log.next && bytes < batchBytes; this.#at++) {
      const frame = this.#log.frame(this.#at);
      if (!frame || (this.#workerId !== undefined && frame.workerId !== this.#workerId)) continue;
      chunks.push(frame.bytes);
      bytes += frame.bytes.length;
    }
    return chunks.length === 0 ? undefined : Buffer.concat(chunks);
  }
}

export const encode = (text: string): Uint8Array => Buffer.from(text);
const comment = encode(':\n\n');
