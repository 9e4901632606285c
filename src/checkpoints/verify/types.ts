/** A file that is being verified: bounded reads at any place. */
export interface Source {
  /** The file's name without its folder. */
  readonly name: string;
  readonly size: number;
  /** Exactly `length` bytes, unless the file ends before. */
  read(offset: number, length: number): Promise<Buffer>;
}

/** What must see every byte of a file, in order, to judge its content. */
export interface ContentCheck {
  /** @returns what is wrong, once it is known. The piece may be reused after the promise settled. */
  feed(piece: Buffer, offset: number): Promise<string | undefined>;
  /** @returns what is wrong, now that all bytes were seen */
  finish(): Promise<string | undefined>;
  /** Frees what an unfinished check holds. */
  abandon(): void;
  /** Complete once `finish` settled. */
  readonly nonFinite?: NonFinite;
}

/** Floats that are no numbers. The bytes are whole; what was trained is not. */
export interface NonFinite {
  /** The first tensor that holds a NaN. */
  readonly nan?: string;
  /** The first tensor that holds an infinity, which masks and observers hold on purpose. */
  readonly inf?: string;
}

/** What a look at a file's structure found. */
export type Structure =
  | { readonly damage: string }
  | {
      readonly damage?: never;
      readonly content?: ContentCheck;
      /** What nobody can tell from outside though every byte is read, in words. */
      readonly unproven?: string;
    };

/** One file format that can be verified from outside: one file and one entry in `formats.ts`. */
export interface Format {
  readonly name: string;
  /** As a person calls a file of it: `zip archive`. */
  readonly title: string;
  /** By the first bytes only, at most 4 KiB of them. */
  matches(head: Buffer, size: number): boolean;
  /** The structure: about a millisecond, whatever the size. */
  inspect(source: Source): Promise<Structure>;
}
