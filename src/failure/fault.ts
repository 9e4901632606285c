import { type LogLines, lineEvidence } from './log-lines.js';
import { isForeign } from './fingerprint.js';
import type { Frame } from './traceback.js';
import type { Evidence } from './types.js';

/** What native code, or Python's faulthandler on its behalf, said when it died. */
export interface FaultWords {
  /** glibc's or C++'s own words. */
  readonly said?: Evidence;
  /** The innermost frame of the user's code that faulthandler saw. */
  readonly frame?: Frame;
  readonly frameEvidence?: Evidence;
}

/** Lines from the end that are looked at: faulthandler shows every thread and lists the extension modules. */
const mostLines = 400;
const native: readonly RegExp[] = [
  /^ {0,8}what\(\): {1,8}\S/,
  /^terminate called (?:after throwing|without an active exception|recursively)/,
  /^(?:free|realloc|malloc|munmap_chunk|calloc)\(\): /,
  /^(?:double free or corruption|corrupted (?:size vs\. prev_size|double-linked list)|malloc_consolidate\(\))/,
  /^\*\*\* (?:stack smashing detected|buffer overflow detected) \*\*\*/,
  /^[^`']{1,600}: Assertion [`'].{1,1000}' failed\.?$/,
];
const header =
  /^Fatal Python error: (?:Segmentation fault|Aborted|Bus error|Floating point exception|Illegal instruction)/;
const thread = /^Current thread 0x[0-9a-f]{1,16} .{0,80}\(most recent call first\):$/;
const frame = /^ {2}File "([^"]{1,1000})", line (\d{1,9}) in (.{1,200})$/;

/** Looks for the last words of a program that died by its own fault. */
export function faultWords(logs: readonly LogLines[]): FaultWords {
  for (const log of logs) {
    const from = Math.max(0, log.lines.length - mostLines);
    const last = log.lines.slice(from);
    const said = native
      .map((pattern) => last.findLastIndex((line) => pattern.test(line)))
      .find((index) => index !== -1);
    const place = faultPlace(last);
    if (said === undefined && !place) continue;
    return {
      ...(said !== undefined && { said: lineEvidence(log, from + said) }),
      ...(place && { frame: place.frame, frameEvidence: lineEvidence(log, from + place.index) }),
    };
  }
  return {};
}

function faultPlace(lines: readonly string[]): { readonly frame: Frame; readonly index: number } | undefined {
  const fatal = lines.findLastIndex((line) => header.test(line));
  if (fatal === -1) return undefined;
  const current = lines.findIndex((line, index) => index > fatal && thread.test(line));
  if (current === -1) return undefined;
  let innermost: { frame: Frame; index: number } | undefined;
  for (let index = current + 1; index < lines.length; index++) {
    const at = frame.exec(lines[index] ?? '');
    if (!at) break;
    const one = { file: at[1] ?? '', line: Number(at[2]), in: at[3] ?? '' };
    innermost ??= { frame: one, index };
    if (!isForeign(one)) return { frame: one, index };
  }
  return innermost;
}
