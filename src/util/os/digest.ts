import { xxh3 } from '@node-rs/xxhash';

/** 4 MiB: how much of a file is read at once where its digest is taken on the way. */
export const digestBlockBytes = 4 * 1024 * 1024;

/**
 * The digest of a file that goes by block by block, of any length: XXH3 with 64 bits, as `xxhsum -H3` prints it.
 * Against corruption, not against an adversary. 64 bits because the library's 128-bit form cannot be fed in pieces
 * and is 3.7 times slower (1.55 to 5.7 GiB/s, measured on node 20).
 */
export class BlockDigest {
  readonly #hash = xxh3.Xxh3.withSeed();

  add(block: Uint8Array): void {
    this.#hash.update(block);
  }

  /** `xxh3-64:` and 16 hexadecimal digits. */
  finish(): string {
    return `xxh3-64:${this.#hash.digest().toString(16).padStart(16, '0')}`;
  }
}
