const decimal = /[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?/iy;
/** `1,240`, as Python's `{step:,}` prints it. */
const grouped = /[1-9]\d{0,2}(?:,\d{3})+(?!\d)/y;
const special = /([+-]?)(nan|inf(?:inity)?)(?=heartbeat|\W|$)/iy;

/**
 * The number that starts at `from`; it ends where its own characters end, whatever follows.
 * @param grouping whether thousands may be set apart by commas
 */
export function numberAt(
  line: string,
  from: number,
  grouping = false,
): { readonly value: number; readonly end: number } | undefined {
  if (grouping) {
    grouped.lastIndex = from;
    const match = grouped.exec(line);
    if (match) return { value: Number(match[0].replaceAll(',', '')), end: grouped.lastIndex };
  }
  decimal.lastIndex = from;
  const match = decimal.exec(line);
  if (match) return { value: Number(match[0]), end: decimal.lastIndex };
  special.lastIndex = from;
  const name = special.exec(line);
  if (!name) return undefined;
  const sign = name[1] === '-' ? -1 : 1;
  return { value: name[2]?.toLowerCase() === 'nan' ? NaN : sign * Infinity, end: special.lastIndex };
}
