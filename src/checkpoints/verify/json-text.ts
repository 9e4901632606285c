/**
 * JSON as Python's json module writes it: NaN and Infinity are legal (a trainer_state.json holds them as soon as a loss
 * was NaN), and are read as null.
 */
export function parseJson(text: string): { ok: true; value: unknown } | { ok: false; error: string } {
  const bare = text.startsWith('\ufeff') ? text.slice(1) : text;
  try {
    return { ok: true, value: JSON.parse(bare) };
  } catch (strict) {
    try {
      return {
        ok: true,
        value: JSON.parse(bare.replace(stringOrNumberWord, (m) => (m.startsWith('"') ? m : 'null'))),
      };
    } catch {
      // the first message names the place in the text as it is
      return { ok: false, error: strict instanceof Error ? oneLine(strict.message) : String(strict) };
    }
  }
}

// a string that never ends is taken whole: a second try from each quote in it would take hours
const stringOrNumberWord = /"(?:[^"\\]+|\\[^])*(?:"|\\?$)|-?\bInfinity\b|\bNaN\b/g;

// V8 quotes the text around the error, which may be the whole file
const oneLine = (message: string): string => message.replace(/\s+/g, ' ').slice(0, 120);
