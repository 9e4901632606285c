import { isAscii } from 'node:buffer';

export interface LineSplitter {
  /** Takes the next bytes of the stream; each line that ends in them is delivered before this returns. */
  push(chunk: Buffer): void;
  /** The stream has ended: delivers a last line without an end. */
  flush(): void;
  /** Bytes taken that belong to no delivered line yet. */
  readonly pendingBytes: number;
  /** How many `\n` were taken: lines as editors and `grep -n` count them, to whom `\r` ends none. */
  readonly newlines: number;
}

/** A line longer than this is cut, in bytes. */
export const maxLineBytes = 64 * 1024;

/**
 * Splits a stream of bytes into lines at `\n`, `\r` (progress bars) and `\r\n`. Works on bytes, since in UTF-8 no
 * other character holds those, so a character cut by a chunk's border is whole again before it is decoded. Holds at
 * most one line of `maxLineBytes`. Each line is decoded on its own: a piece of a longer string would keep all of it
 * alive for as long as anybody keeps the line.
 * @param afterCr the byte before the first one was `\r`: a `\n` that comes now ends no other line
 */
export function createLineSplitter(deliver: (line: string) => void, afterCr = false): LineSplitter {
  let carry: Buffer | undefined;
  let carried = 0; // bytes in carry
  let pending = 0; // bytes since the last end, dropped ones too
  let skipLf = afterCr;
  let newlines = 0;

  const keep = (chunk: Buffer, from: number, to: number): void => {
    pending += to - from;
    if (to === from) return;
    carry ??= Buffer.allocUnsafe(maxLineBytes);
    carried += chunk.copy(carry, carried, from, Math.min(to, from + maxLineBytes - carried));
  };

  const deliverCarried = (): void => {
    const line = carry?.toString(
      'utf8',
      0,
      carried < maxLineBytes ? carried : wholeCharacters(carry, 0, carried),
    );
    carried = 0;
    pending = 0;
    deliver(line ?? '');
  };

  return {
    get pendingBytes() {
      return pending;
    },
    get newlines() {
      return newlines;
    },
    push(chunk) {
      let at = 0;
      if (skipLf && chunk.length > 0) {
        if (chunk[0] === LF) {
          at = 1;
          newlines++;
        }
        skipLf = false;
      }
      const encoding = isAscii(chunk) ? 'latin1' : 'utf8'; // the same for ASCII, and faster
      let lf = chunk.indexOf(LF, at);
      let cr = chunk.indexOf(CR, at);
      while (lf >= 0 || cr >= 0) {
        const end = lf < 0 || (cr >= 0 && cr < lf) ? cr : lf;
        if (pending > 0) {
          keep(chunk, at, end);
          deliverCarried();
        } else {
          const stop = end - at <= maxLineBytes ? end : wholeCharacters(chunk, at, at + maxLineBytes);
          deliver(chunk.toString(encoding, at, stop));
        }
        at = end + 1;
        if (end === cr) {
          if (at === chunk.length) skipLf = true;
          else if (chunk[at] === LF) {
            at++;
            newlines++;
          }
          cr = chunk.indexOf(CR, at);
        } else newlines++;
        if (lf >= 0 && lf < at) lf = chunk.indexOf(LF, at);
      }
      keep(chunk, at, chunk.length);
    },
    flush() {
      if (pending > 0) deliverCarried();
    },
  };
}

const LF = 10;
const CR = 13;

/** Where to cut before `end` so that no character is halved. */
function wholeCharacters(bytes: Buffer, from: number, end: number): number {
  for (let at = end - 1; at >= Math.max(from, end - 4); at--) {
    const byte = bytes[at] ?? 0;
    if ((byte & 0xc0) === 0x80) continue; // the middle of a character
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return at + length > end ? at : end;
  }
  return end; // no UTF-8 at all
}
