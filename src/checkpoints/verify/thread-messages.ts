import type { UnitFiles, UnitVerdict } from './unit.js';

/** To the thread. */
export interface ThreadOrder {
  readonly job: number;
  readonly unit: UnitFiles;
  readonly deep: boolean;
  readonly readBytesPerS?: number;
  /** One word, not zero once the look is to be broken off. */
  readonly stop: Int32Array;
}

/** From the thread: first that it is there, then one answer an order. */
export type ThreadAnswer =
  | { readonly ready: true }
  | { readonly job: number; readonly verdict: UnitVerdict }
  | { readonly job: number; readonly failure: ThreadFailure };

/** An error loses its code on the way between threads. */
export interface ThreadFailure {
  readonly message: string;
  readonly stack?: string;
  readonly code?: string;
}
