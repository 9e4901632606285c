import { ok, type Result } from '../util/result.js';
import { decodeLine } from './journal-line.js';
import { damaged, tooNew } from './problems.js';
import { schemaVersion } from './versioned-file.js';

export interface JournalContent<T> {
  readonly entries: T[];
  /** The end that a crash cut off or spoiled; it never counted, or did not have to survive that. */
  readonly torn: Buffer;
  /** Length of what counts, bytes. */
  readonly size: number;
  /** The number of the last entry, all that compactions took out counted; 0: there is none. */
  readonly last: number;
}

export interface ReadOptions {
  /** What a person may do about damage. */
  readonly wayOut?: string;
  /**
   * What the text of every entry bears that had to survive a power cut, and no other. Pages of those that had not
   * may be missing after one: where the mark is not in what is damaged so or follows, all of that is a torn end.
   */
  readonly durableMark?: string;
}

const runGoesOn = 'move it away, and the run goes on from what state.json remembers';

/** Reads the bytes of a journal; damage before its torn end is a Problem. Pure. */
export function parseJournal<T>(
  file: string,
  bytes: Buffer,
  { wayOut = runGoesOn, durableMark = '' }: ReadOptions = {},
): Result<JournalContent<T>> {
  const entries: T[] = [];
  let start = 0;
  let last = 0;
  for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
    const line = decodeLine(bytes.subarray(start, end), last + 1);
    if (line.type === 'newer') return tooNew(`the journal ${file}`, line.version, schemaVersion);
    if (line.type === 'bad') {
      // pages that never came read as zeros, which our text never holds
      if (!bytes.includes(durableMark, start) && bytes.subarray(start, end).includes(0)) break;
      return damaged(`the journal ${file}`, `line ${entries.length + 1}: ${line.why}`, wayOut);
    }
    entries.push(line.event as T);
    last = line.seq;
    start = end + 1;
  }
  return ok({ entries, torn: bytes.subarray(start), size: start, last });
}
