import { formatDuration } from '../util/duration.js';
import { formatBytes } from '../util/text.js';

/** What has been done of some bytes, and how long it took so far. */
export interface BytesDone {
  readonly bytes: number;
  readonly of: number;
  readonly elapsedMs: number;
}

/** Work that is done sooner needs no bar. */
const quietMs = 2000;
const redrawEveryMs = 100;
const widestBar = 30;
const narrowestBar = 8;

/**
 * One line of at most `columns` characters: `restoring [####....]  45 %  1.2 GiB of 2.7 GiB  512.0 MiB/s  3s left`. On a
 * narrow terminal it loses its bar, then its last words. Pure.
 */
export function progressLine(what: string, { bytes, of, elapsedMs }: BytesDone, columns: number): string {
  const share = of > 0 ? Math.min(1, bytes / of) : 0;
  const perMs = elapsedMs > 0 ? bytes / elapsedMs : 0;
  const words = [
    `${String(Math.floor(share * 100)).padStart(3)} %`,
    `${formatBytes(bytes)} of ${formatBytes(of)}`,
    ...(perMs > 0 ? [`${formatBytes(Math.round(perMs * 1000))}/s`] : []),
    ...(perMs > 0 ? [`${formatDuration(Math.ceil((of - bytes) / perMs / 1000) * 1000)} left`] : []),
  ];
  const room = columns - what.length - words.join('  ').length - 5;
  if (room >= narrowestBar) {
    const width = Math.min(room, widestBar);
    const full = Math.floor(share * width);
    return `${what} [${'#'.repeat(full)}${'.'.repeat(width - full)}] ${words.join('  ')}`;
  }
  let line = what;
  for (const word of words) {
    if (line.length + word.length + 2 > columns) break;
    line = `${line}  ${word}`;
  }
  return line.slice(0, Math.max(0, columns));
}

/** A terminal that a bar is drawn on. */
export interface BarTerminal {
  write(text: string): void;
  columns(): number;
  /** Milliseconds, monotonic. */
  mono(): number;
}

/** Draws a bar in place once the work takes longer than two seconds, and leaves nothing of it behind. */
export class ProgressBar {
  readonly #what: string;
  readonly #terminal: BarTerminal;
  #beganMs: number | undefined;
  #drawnMs: number | undefined;

  constructor(what: string, terminal: BarTerminal) {
    this.#what = what;
    this.#terminal = terminal;
  }

  update({ bytes, of }: { readonly bytes: number; readonly of: number }): void {
    const now = this.#terminal.mono();
    this.#beganMs ??= now;
    const elapsedMs = now - this.#beganMs;
    if (elapsedMs < quietMs || (this.#drawnMs !== undefined && now - this.#drawnMs < redrawEveryMs)) return;
    this.#drawnMs = now;
    // the last column stays free: some terminals begin a new line there
    const line = progressLine(this.#what, { bytes, of, elapsedMs }, this.#terminal.columns() - 1);
    this.#terminal.write(`\r${line}\u001b[K`);
  }

  end(): void {
    if (this.#drawnMs !== undefined) this.#terminal.write('\r\u001b[K');
    this.#drawnMs = undefined;
  }
}
