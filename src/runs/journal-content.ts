import { ok, type Result } from '../util/result.js';
import { decodeLine } from './journal-line.js';
import { damaged, tooNew } from './problems.js';
import { schemaVersion } from './versioned-file.js';

export interface JournalContent<T> {
  readonly entries: T[];
  /** The end of a last line that was cut off by a crash; it never counted. */
  readonly torn: Buffer;
  /** Length of what counts, bytes. */
  readonly size: number;
  /** The number of the last entry, all that compactions took out counted; 0: there is none. */
  readonly last: number;
}

const runGoesOn = 'move it away, and the run goes on from what state.json remembers';

/**
 * Reads the bytes of a journal; damage before its last line is a Problem. Pure.
 * @param wayOut what a person may do about damage
 */
export function parseJournal<T>(file: string, bytes: Buffer, wayOut = runGoesOn): Result<JournalContent<T>> {
  const entries: T[] = [];
  let start = 0;
  let last = 0;
  for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
    const line = decodeLine(bytes.subarray(start, end), last + 1);
    if (line.type === 'newer') return tooNew(`the journal ${file}`, line.version, schemaVersion);
    if (line.type === 'bad') {
      return damaged(`the journal ${file}`, `line ${entries.length + 1}: ${line.why}`, wayOut);
    }
    entries.push(line.event as T);
    last = line.seq;
    start = end + 1;
  }
  return ok({ entries, torn: bytes.subarray(start), size: start, last });
}
