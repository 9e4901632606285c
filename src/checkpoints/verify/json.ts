import { parseJson } from './json-text.js';
import type { Format } from './types.js';

/** Above this a parse would hold the event loop for a second; only both ends are looked at then. */
const longestParse = 16 * 1024 * 1024;

/** Parses. Tried only on what is named `.json`, or lies among JSON checkpoints. */
export const json: Format = {
  name: 'json',
  title: 'JSON file',
  matches: (head) => /^(?:\ufeff)?\s*[[{]/.test(head.toString('utf8')),
  async inspect(source) {
    if (source.size > longestParse) {
      const tail = (await source.read(source.size - 64, 64)).toString('latin1').trimEnd();
      return /[\]}]$/.test(tail) ? {} : { damage: 'its JSON is cut off' };
    }
    const parsed = parseJson((await source.read(0, source.size)).toString('utf8'));
    return parsed.ok ? {} : { damage: `it is no valid JSON: ${parsed.error}` };
  },
};
