/** Looks for any of many strings in bytes, upper and lower case alike. */
export interface Search {
  /** @returns where the first of them begins, at `from` or later and before `to`; -1: nowhere */
  find(bytes: Uint8Array, from: number, to: number): number;
}

/** ASCII letters as their small ones. */
const fold = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 65 && byte <= 90 ? byte + 32 : byte));

/**
 * Prepares a search by Wu and Manber's method (1994): of every two bytes it is known how far on the first part of a
 * needle may end at the soonest, so most bytes are never looked at, however many needles there are.
 * @param needles of ASCII; the shortest (two at least) decides how fast it is
 */
export function searchFor(needles: readonly string[]): Search {
  const all = [...new Set(needles.map((one) => one.toLowerCase()))].map((one) => Buffer.from(one, 'latin1'));
  const width = Math.min(...all.map(({ length }) => length));
  const shifts = new Uint8Array(65_536).fill(Math.min(255, width - 1));
  /** Pairs that a needle begins with: a quick no for most of what ends like one. */
  const begins = new Uint8Array(65_536);
  const ending = new Map<number, Buffer[]>();
  for (const needle of all) {
    for (let end = 1; end < width; end++) {
      for (const pair of casesOf(needle[end - 1] ?? 0, needle[end] ?? 0))
        shifts[pair] = Math.min(shifts[pair] ?? 0, width - 1 - end);
    }
    for (const pair of casesOf(needle[0] ?? 0, needle[1] ?? 0)) begins[pair] = 1;
    for (const pair of casesOf(needle[width - 2] ?? 0, needle[width - 1] ?? 0))
      ending.set(pair, [...(ending.get(pair) ?? []), needle]);
  }
  return {
    find(bytes, from, to) {
      const last = Math.min(bytes.length, to + width - 1);
      for (let at = from + width - 1; at < last;) {
        // both are there: at is at least 1 here, and less than the length
        const pair = ((bytes[at - 1] as number) << 8) | (bytes[at] as number);
        const shift = shifts[pair] as number;
        if (shift > 0) {
          at += shift;
          continue;
        }
        const start = at - width + 1;
        const first = ((bytes[start] as number) << 8) | (bytes[start + 1] as number);
        if (begins[first] === 1 && isAnyAt(ending.get(pair), bytes, start)) return start;
        at++;
      }
      return -1;
    },
  };
}

/** Two bytes, as small letters and as capital ones. */
function casesOf(first: number, second: number): ReadonlySet<number> {
  const upper = (byte: number): number => (byte >= 97 && byte <= 122 ? byte - 32 : byte);
  return new Set([first, upper(first)].flatMap((a) => [second, upper(second)].map((b) => (a << 8) | b)));
}

function isAnyAt(needles: readonly Buffer[] | undefined, bytes: Uint8Array, start: number): boolean {
  return needles?.some((needle) => isAt(needle, bytes, start)) ?? false;
}

function isAt(needle: Uint8Array, bytes: Uint8Array, start: number): boolean {
  if (start + needle.length > bytes.length) return false;
  for (let i = 0; i < needle.length; i++) if (fold[bytes[start + i] ?? 0] !== needle[i]) return false;
  return true;
}
