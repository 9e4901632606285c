import { mapJson } from './json-lines.js';
import type { ConfigSource } from './locate.js';

/**
 * The line, from 1, on which a key stands; undefined if it cannot be told, since a wrong line is worse than none.
 * @param path the keys from the top of the file; numbers are members of lists
 */
export function lineOf(
  { format, text }: Pick<ConfigSource, 'format' | 'text'>,
  path: readonly (string | number)[],
): number | undefined {
  if (path.length === 0) return undefined;
  switch (format) {
    case 'json': {
      const offset = mapJson(text).offsets.get(JSON.stringify(path));
      return offset === undefined ? undefined : lineAt(text, offset);
    }
    case 'yaml':
      return yamlLine(text.split('\n'), path);
    case 'toml':
      return tomlLine(text.split('\n'), path);
  }
}

/** The line, from 1, of an offset. */
export const lineAt = (text: string, offset: number): number => text.slice(0, offset).split('\n').length;

/** Block style, by indentation; what stands in `{…}` or `[…]` is looked for on the line of its parent. */
function yamlLine(lines: readonly string[], path: readonly (string | number)[]): number | undefined {
  let from = 0;
  let to = lines.length;
  let found: number | undefined;
  for (const part of path) {
    const block = lines.slice(from, to);
    const first = block.find((line) => /^\s*[^\s#]/.test(line));
    if (first === undefined) return found;
    const indent = first.search(/\S/);
    const starts = block.flatMap((line, index) =>
      line.search(/\S/) === indent && !line.trimStart().startsWith('#') ? [index] : [],
    );
    const start =
      typeof part === 'number' ? starts[part] : starts.find((index) => yamlKey(block[index] ?? '') === part);
    if (start === undefined) return found === undefined ? undefined : inFlow(lines, found, part);
    const next = starts.find((index) => index > start) ?? block.length;
    found = from + start;
    to = from + next;
    from = found + 1;
    // `- match:` holds a key on the line of its dash
    if (typeof part === 'number') return path.length === path.indexOf(part) + 1 ? found + 1 : memberLine(lines, found, to, path.slice(path.indexOf(part) + 1)); // prettier-ignore
  }
  return found === undefined ? undefined : found + 1;
}

/** Inside a list member: the dash counts as indentation. */
function memberLine(
  lines: readonly string[],
  from: number,
  to: number,
  rest: readonly (string | number)[],
): number {
  const member = lines.slice(from, to).map((line, index) => (index === 0 ? line.replace('-', ' ') : line));
  return from + (yamlLine(member, rest) ?? 1);
}

const yamlKey = (line: string): string | undefined => /^\s*["']?([^"':#]+?)["']?\s*:(?:\s|$)/.exec(line)?.[1];

const inFlow = (lines: readonly string[], line: number, part: string | number): number | undefined =>
  typeof part === 'string' && (lines[line] ?? '').includes(part) ? line + 1 : undefined;

/** By `[section]` headers and `key =` lines; dotted keys too. */
function tomlLine(lines: readonly string[], path: readonly (string | number)[]): number | undefined {
  const wanted = path.filter((part) => typeof part === 'string');
  const index = path.find((part) => typeof part === 'number') ?? 0;
  let section: string[] = [];
  const seen = new Map<string, number>();
  let best: number | undefined;
  let bestDepth = 0;
  for (const [number, line] of lines.entries()) {
    const header = /^\s*(\[\[?)\s*([^\]]+?)\s*\]/.exec(line);
    let own: string[];
    if (header) {
      section = dotted(header[2] ?? '');
      const name = section.join('\0');
      seen.set(name, (seen.get(name) ?? -1) + 1);
      own = section;
    } else {
      const key = /^\s*("[^"]*"|'[^']*'|[\w.-]+(?:\s*\.\s*[\w-]+)*)\s*=/.exec(line)?.[1];
      if (key === undefined) continue;
      own = [...section, ...dotted(key)];
    }
    const depth = own.length;
    const isPart = depth <= wanted.length && own.every((part, at) => part === wanted[at]);
    const isMember =
      (seen.get(section.join('\0')) ?? 0) === index || !path.some((part) => typeof part === 'number');
    if (isPart && isMember && depth > bestDepth) {
      best = number + 1;
      bestDepth = depth;
    }
  }
  // an inline table holds what could not be found deeper
  return best;
}

const dotted = (key: string): string[] =>
  key.split('.').map((part) => part.trim().replace(/^["']|["']$/g, ''));
