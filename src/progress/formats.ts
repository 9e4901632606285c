import { readExplicit } from './explicit.js';
import type { Heartbeat } from './types.js';

/** One way in which programs report progress. */
export interface LineFormat {
  readonly id: string;
  /** What every line of this format contains: the cheap test that rejects ordinary lines. Not global. */
  readonly hint: RegExp;
  /** Reads a line that has the hint; an empty list if it was not this format after all. */
  readonly read: (line: string) => Heartbeat[];
}

/** The formats, in order of precedence: the first that finds something in a line wins. Adding one is adding a row. */
export const formats: readonly LineFormat[] = [{ id: 'explicit', hint: /heartbeat/i, read: readExplicit }];
