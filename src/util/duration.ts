const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * Reads `500ms`, `30s`, `5m`, `2h`, `1d`, or a number of seconds.
 * @returns milliseconds, or undefined if the text is none of these
 */
export function parseDuration(text: string | number): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*$/.exec(String(text));
  if (!match) return undefined;
  return Number(match[1]) * unitMs[(match[2] ?? 's') as keyof typeof unitMs];
}

/** Milliseconds as a person says them: `850 ms`, `10.8 s`, `12m 31s`, `3h 02m`, `4d 06h`. */
export function formatDuration(exactMs: number): string {
  const ms = Math.max(0, Math.round(exactMs));
  if (ms < 1000) return `${ms} ms`;
  if (ms < 60_000) {
    const seconds = Math.floor(ms / 100) / 10;
    return `${seconds >= 30 ? Math.floor(seconds) : seconds} s`;
  }
  const two = (n: number): string => String(n).padStart(2, '0');
  const seconds = Math.floor(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)}d ${two(hours % 24)}h`;
}
