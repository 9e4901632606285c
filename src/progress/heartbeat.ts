import { formats } from './formats.js';
import type { Heartbeat } from './types.js';

/**
 * Reads every heartbeat of one line of output. A line that holds none, or only garbage, gives an empty list; nothing is
 * ever thrown. Time is linear in the line's length, and a line without a format's hint costs one scan for it.
 */
export function parseHeartbeats(line: string): Heartbeat[] {
  for (const format of formats) {
    if (!format.hint.test(line)) continue;
    const found = format.read(line);
    if (found.length > 0) return found;
  }
  return [];
}
