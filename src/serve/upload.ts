import { createHash } from 'node:crypto';

/** Pieces smaller than this are put together: who writes and hashes them pays for each. */
const pieceBytes = 64 * 1024;

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

  /** Its end was not seen yet. */
  get isComing(): boolean {
    return this.#body !== null && (this.#state === 'unread' || this.#state === 'begun');
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

  /** @returns undefined: it has ended */
  async #next(chunks: AsyncIterator<Uint8Array> | undefined): Promise<Uint8Array | undefined> {
    try {
      const piece = await gather(chunks, Math.min(pieceBytes, this.#maxBytes + 1));
      if (piece) {
        this.#hash.update(piece);
        return piece;
      }
    } catch (error) {
      this.#state = 'broken';
      throw error;
    }
    this.#state = 'whole';
    return undefined;
  }
}

/** @returns at least `least` bytes, or what is left; undefined: nothing is */
async function gather(
  chunks: AsyncIterator<Uint8Array> | undefined,
  least: number,
): Promise<Uint8Array | undefined> {
  let gathered: Buffer | undefined;
  let length = 0;
  for (;;) {
    const one = await chunks?.next();
    if (!one || one.done) return length > 0 ? gathered?.subarray(0, length) : undefined;
    const chunk = one.value;
    if (length + chunk.length >= least)
      return gathered ? Buffer.concat([gathered.subarray(0, length), chunk]) : chunk;
    gathered ??= Buffer.allocUnsafe(least);
    gathered.set(chunk, length);
    length += chunk.length;
  }
}
