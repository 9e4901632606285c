/**
 * Tells the same kind of trouble once a minute at most, however often it comes.
 * @param mono ms
 */
export function seldom(
  tell: (text: string) => void,
  mono: () => number = () => performance.now(),
): (kind: string, text: string) => void {
  const toldAt = new Map<string, number>();
  return (kind, text) => {
    const at = toldAt.get(kind);
    if (at !== undefined && mono() - at < 60_000) return;
    toldAt.set(kind, mono());
    tell(text);
  };
}
