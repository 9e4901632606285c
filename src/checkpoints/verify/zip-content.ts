import { crc32, createInflateRaw, type InflateRaw } from 'node:zlib';
import { quote } from './quote.js';
import type { ZipEntry } from './zip-directory.js';
import type { ContentCheck } from './types.js';

/** Checks the CRC of every entry while the file goes by once, block by block. */
export class ZipContent implements ContentCheck {
  readonly #entries: readonly ZipEntry[];
  #index = 0;
  #current: EntryCheck | undefined;

  /** @param entries by file order, not overlapping */
  constructor(entries: readonly ZipEntry[]) {
    this.#entries = entries;
  }

  async feed(piece: Buffer, offset: number): Promise<string | undefined> {
    const pieceEnd = offset + piece.length;
    for (let entry = this.#entries[this.#index]; entry; entry = this.#entries[this.#index]) {
      if (entry.dataOffset >= pieceEnd && entry.compressedSize > 0) return undefined;
      const dataEnd = entry.dataOffset + entry.compressedSize;
      this.#current ??= checkFor(entry);
      const from = Math.max(entry.dataOffset, offset) - offset;
      const wrong = await this.#current.feed(
        piece.subarray(from, Math.max(from, Math.min(dataEnd, pieceEnd) - offset)),
      );
      if (wrong !== undefined) return this.#say(entry, wrong);
      if (dataEnd > pieceEnd) return undefined;
      const end = await this.#current.finish();
      if (end !== undefined) return this.#say(entry, end);
      this.#current = undefined;
      this.#index++;
    }
    return undefined;
  }

  finish(): Promise<string | undefined> {
    const missing = this.#entries[this.#index];
    return Promise.resolve(missing ? `the data of ${quote(missing.name)} is cut off` : undefined);
  }

  abandon(): void {
    this.#current?.abandon();
    this.#current = undefined;
  }

  #say(entry: ZipEntry, wrong: string): string {
    this.abandon();
    return `${quote(entry.name)} ${wrong}`;
  }
}

interface EntryCheck {
  feed(data: Buffer): Promise<string | undefined>;
  finish(): Promise<string | undefined>;
  abandon(): void;
}

const changed = 'has another CRC than when it was written: its bytes changed';

function checkFor(entry: ZipEntry): EntryCheck {
  if (entry.encrypted || (entry.method !== 0 && entry.method !== 8)) return unreadable;
  return entry.method === 0 ? new StoredCheck(entry) : new InflateCheck(entry);
}

/** Encrypted, or compressed by a method without a decoder here: only its place was checked. */
const unreadable: EntryCheck = {
  feed: () => Promise.resolve(undefined),
  finish: () => Promise.resolve(undefined),
  abandon: () => undefined,
};

class StoredCheck implements EntryCheck {
  readonly #entry: ZipEntry;
  #crc = 0;

  constructor(entry: ZipEntry) {
    this.#entry = entry;
  }

  feed(data: Buffer): Promise<undefined> {
    this.#crc = crc32(data, this.#crc);
    return Promise.resolve(undefined);
  }

  finish(): Promise<string | undefined> {
    return Promise.resolve(this.#crc === this.#entry.crc ? undefined : changed);
  }

  abandon(): void {
    this.#crc = 0;
  }
}

/** Inflates in pieces and stops as soon as more comes out than was declared: memory stays bounded. */
class InflateCheck implements EntryCheck {
  readonly #entry: ZipEntry;
  readonly #inflate: InflateRaw;
  readonly #ended: Promise<void>;
  #crc = 0;
  #size = 0;
  #wrong: string | undefined;

  constructor(entry: ZipEntry) {
    this.#entry = entry;
    this.#inflate = createInflateRaw({ chunkSize: 256 * 1024 });
    this.#ended = new Promise((resolve) => {
      this.#inflate.once('close', resolve);
      this.#inflate.once('end', resolve);
    });
    this.#inflate.on('error', (error) => {
      this.#wrong ??= `cannot be inflated: ${error.message}`;
    });
    this.#inflate.on('data', (piece: Buffer) => {
      this.#size += piece.length;
      this.#crc = crc32(piece, this.#crc);
      if (this.#size <= entry.size) return;
      this.#wrong ??= `inflates to more than the ${entry.size} bytes it declares`;
      this.#inflate.destroy();
    });
  }

  async feed(data: Buffer): Promise<string | undefined> {
    if (data.length > 0 && this.#wrong === undefined) {
      const taken = new Promise<void>((resolve) => {
        // the callback says that the block was consumed; what went wrong is said by the error event
        this.#inflate.write(data, () => resolve());
      });
      await Promise.race([taken, this.#ended]);
    }
    return this.#wrong;
  }

  async finish(): Promise<string | undefined> {
    if (this.#wrong === undefined) {
      this.#inflate.end();
      await this.#ended;
    }
    this.#inflate.destroy();
    if (this.#wrong !== undefined) return this.#wrong;
    return this.#size === this.#entry.size && this.#crc === this.#entry.crc ? undefined : changed;
  }

  abandon(): void {
    this.#inflate.destroy();
  }
}
