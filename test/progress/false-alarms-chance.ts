/** Draws from the distributions that the study needs; the same seed draws the same. */
export interface Chance {
  happens(probability: number): boolean;
  uniform(from: number, to: number): number;
  /** Every order of magnitude is as likely as any other. */
  logUniform(from: number, to: number): number;
  /** With the median 1. */
  logNormal(sigma: number): number;
  exponential(mean: number): number;
  pareto(least: number, index: number): number;
  oneOf<T>(values: readonly [T, ...T[]]): T;
}

/** Mulberry32: small, fast and good enough to draw a few million numbers. */
export function chanceOf(seed: number): Chance {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  return {
    happens: (probability) => next() < probability,
    uniform: (from, to) => from + (to - from) * next(),
    logUniform: (from, to) => from * (to / from) ** next(),
    logNormal: (sigma) => Math.exp(sigma * normal()),
    exponential: (mean) => -mean * Math.log(1 - next()),
    pareto: (least, index) => least / (1 - next()) ** (1 / index),
    oneOf: (values) => values[Math.floor(next() * values.length)] ?? values[0],
  };
}
