import { createHash } from 'node:crypto';

/** A body that goes to its place unread. It remembers its digest, and whether its sender went before its end. */
export class Upload implements AsyncIterable<Uint8Array> {
  static readonly none = new Upload(null, 0);

  readonly #body: AsyncIterable<Uint8Array> | null;
  readonly #maxBytes: number;
  readonly #hash = createHash('sha256');
  #state: 'unread' | 'begun' | 'whole' | 'broken' = 'unread';

  constructor(body: AsyncIterable<Uint8Array> | null, maxBytes: number) {
    this.#body = body;
    this.#maxBytes = maxBytes;
  }

  get broken(): boolean {
    return this.#state === 'broken';
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    this.#state = 'begun';
    const chunks = this.#body?.[Symbol.asyncIterator]();
    try {
      for (let one = await this.#next(chunks); one; one = await this.#next(chunks)) yield one;
    } finally {
      await chunks?.return?.();
    }
  }

  /** SHA-256 of all of it, hex; what was not begun is read for it. Empty: it has no end within its bound. */
  async digest(): Promise<string> {
    if (this.#state === 'unread') {
      let bytes = 0;
      for await (const chunk of this) {
        bytes += chunk.length;
        if (bytes > this.#maxBytes) break;
      }
    }
    return this.#state === 'whole' ? this.#hash.copy().digest('hex') : '';
  }

  async #next(chunks: AsyncIterator<Uint8Array> | undefined): Promise<Uint8Array | undefined> {
    try {
      const one = await chunks?.next();
      if (one && !one.done) {
        this.#hash.update(one.value);
        return one.value;
      }
    } catch (error) {
      this.#state = 'broken';
      throw error;
    }
    this.#state = 'whole';
    return undefined;
  }
}
