import type { RE2JS } from 're2js';

/** A user's regular expression, which takes time linear in the line's length whatever it says. */
export interface LinePattern {
  test(line: string): boolean;
  /** What its named groups matched, those that took no part left out; undefined if it does not match. */
  groups(line: string): Readonly<Record<string, string>> | undefined;
  /** The names of its groups. */
  readonly names: readonly string[];
}

/** Of a longer line only so many characters are looked at. */
const longestLine = 65_536;

/**
 * Compiles an expression in RE2's syntax, which is JavaScript's without what would need backtracking. The engine is
 * loaded here, once somebody has a pattern.
 * @returns what the pattern must be and is not, as a sentence's end after the name of its key
 */
export async function compilePattern(source: string): Promise<LinePattern | { readonly problem: string }> {
  const { RE2JS, RE2JSException } = await import('re2js');
  try {
    return wrap(RE2JS.compile(source));
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    if (!isJavaScript(source)) return { problem: 'must be a regular expression' };
    return {
      problem:
        'must be a regular expression without look-ahead, look-behind, backreferences and repetitions beyond 1,000, ' +
        'so that no line can take for ever',
    };
  }
}

function wrap(compiled: RE2JS): LinePattern {
  const names = Object.keys(compiled.namedGroups());
  return {
    names,
    test: (line) => compiled.test(line.slice(0, longestLine)),
    groups(line) {
      const looked = line.slice(0, longestLine);
      // far cheaper than finding where; most lines do not match
      if (!compiled.test(looked)) return undefined;
      const matcher = compiled.matcher(looked);
      if (!matcher.find()) return undefined;
      const groups: Record<string, string> = {};
      for (const name of names) {
        const text = matcher.group(name);
        if (text !== null) groups[name] = text;
      }
      return groups;
    },
  };
}

function isJavaScript(source: string): boolean {
  try {
    new RegExp(source);
    return true;
  } catch {
    // then it is no regular expression at all, which the caller says
    return false;
  }
}
