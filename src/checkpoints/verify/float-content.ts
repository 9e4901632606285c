import { floatBytes, isFloatType, worstFloat } from './floats.js';
import type { ContentCheck } from './types.js';

/** Where a tensor's elements lie in the file. */
export interface TensorPlace {
  readonly name: string;
  readonly dtype: string;
  readonly from: number;
  readonly to: number;
}

/** Looks for NaN and infinities among the floats while the file goes by once. It condemns nothing: it tells. */
export class FloatContent implements ContentCheck {
  readonly nonFinite: { nan?: string; inf?: string } = {};
  readonly #tensors: readonly TensorPlace[];
  #index = 0;
  /** The first bytes of an element that goes on in the next piece. */
  #begun = Buffer.alloc(0);

  /** @param tensors by place, not overlapping */
  constructor(tensors: readonly TensorPlace[]) {
    this.#tensors = tensors;
  }

  feed(piece: Buffer, offset: number): Promise<undefined> {
    const end = offset + piece.length;
    for (let tensor = this.#tensors[this.#index]; tensor; tensor = this.#tensors[++this.#index]) {
      if (tensor.from < end) this.#look(tensor, partOf(piece, tensor.from - offset, tensor.to - offset));
      if (tensor.to > end) break;
      this.#begun = Buffer.alloc(0);
    }
    return Promise.resolve(undefined);
  }

  finish(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  abandon(): void {
    this.#index = this.#tensors.length;
  }

  #look({ name, dtype }: TensorPlace, part: Buffer): void {
    // one is enough to tell
    if (this.nonFinite.nan !== undefined || !isFloatType(dtype)) return;
    const bytes = this.#begun.length > 0 ? Buffer.concat([this.#begun, part]) : part;
    const whole = bytes.length - (bytes.length % floatBytes[dtype]);
    this.#begun = Buffer.from(bytes.subarray(whole));
    const worst = worstFloat(dtype, bytes.subarray(0, whole));
    if (worst === 'nan') this.nonFinite.nan = name;
    if (worst === 'inf') this.nonFinite.inf ??= name;
  }
}

const partOf = (piece: Buffer, from: number, to: number): Buffer =>
  piece.subarray(Math.max(0, from), Math.max(0, Math.min(to, piece.length)));
