/**
 * JSON that keeps NaN and the infinities, which are legal in heartbeats and would become null: they are written as
 * `{"$number":"NaN"}`. Everything under `runs/` is written and read by these two.
 */
export const toJson = (value: unknown): string => JSON.stringify(value, hideNonFinite);

/** Reads what {@link toJson} wrote. Throws SyntaxError like JSON.parse. */
export function fromJson(text: string): unknown {
  // a reviver makes parsing several times slower, and hardly any text needs it
  return text.includes('"$number"') ? JSON.parse(text, showNonFinite) : JSON.parse(text);
}

const hideNonFinite = (_key: string, value: unknown): unknown =>
  typeof value === 'number' && !Number.isFinite(value) ? { $number: String(value) } : value;

function showNonFinite(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('$number' in value)) return value;
  return Object.keys(value).length === 1 ? Number(value.$number) : value;
}
