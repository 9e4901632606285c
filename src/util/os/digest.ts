import { xxh3 } from '@node-rs/xxhash';

/** 4 MiB: about 1.3 ms of hashing between two turns of the event loop. */
export const digestBlockBytes = 4 * 1024 * 1024;

/**
 * The digest of a file that is read block by block: xxh3-128 of the blocks' xxh3-128 digests, since the library has
 * no streaming 128-bit form. Against corruption, not against an adversary.
 */
export class BlockDigest {
  readonly #digests: Buffer[] = [];

  /** Blocks are `digestBlockBytes` long, the last one may be shorter. */
  add(block: Uint8Array): void {
    this.#digests.push(Buffer.from(hex(xxh3.xxh128(block)), 'hex'));
  }

  /** `xxh3-128:` and 32 hexadecimal digits. */
  finish(): string {
    return `xxh3-128:${hex(xxh3.xxh128(Buffer.concat(this.#digests)))}`;
  }
}

const hex = (digest: bigint): string => digest.toString(16).padStart(32, '0');
