import { RotatingFile } from '../runs/rotating-file.js';
import { formatDuration } from '../util/duration.js';
import { maskArgv, maskText } from '../util/mask.js';
import { type ChildEnd, endWords } from './children.js';

/** What commands of the user's wrote, and how each ended; for people. */
export interface ChildrenLog {
  /** @param name what it was called for: `onFailure` */
  add(name: string, argv: readonly string[], end: ChildEnd): void;
  close(): void;
}

/** 1 MiB, twice that with the older one. */
const maxBytes = 1024 * 1024;

/** Nothing is written, nor is the file there, before the first call. Secrets are masked. */
export function openChildrenLog(file: string, now: () => number = Date.now): ChildrenLog {
  const out = new RotatingFile(file, maxBytes);
  return {
    add(name, argv, end) {
      const how = `${endWords(end)} after ${formatDuration(end.ms)}`;
      const head = `=== ${new Date(now()).toISOString()} ${name}: ${how}: ${maskArgv(argv).join(' ')}`;
      const said = maskText(end.output.trimEnd());
      out.write(said === '' ? `${head}\n` : `${head}\n${said}\n`);
    },
    close: () => out.close(),
  };
}
