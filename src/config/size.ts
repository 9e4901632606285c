const units: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/**
 * Reads `512MiB`, `1GiB`, `1GB`, or a number of bytes.
 * @returns whole bytes, or undefined if the text is none of these
 */
export function parseSize(value: string | number): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)?\s*$/.exec(String(value));
  if (!match) return undefined;
  const bytes = Math.round(Number(match[1]) * (units[match[2] ?? 'B'] ?? NaN));
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
