import { mapJson } from './json-lines.js';
import type { ConfigSource } from './locate.js';

type Path = readonly (string | number)[];

/**
 * The line, from 1, on which a key stands; undefined if it cannot be told, since a wrong line is worse than none.
 * @param path the keys from the top of the file; numbers are members of lists
 */
export function lineOf(
  { format, text }: Pick<ConfigSource, 'format' | 'text'>,
  path: Path,
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

/** Block style, by indentation. What stands in `{…}` or `[…]` is on the line of the deepest key above it, if it is seen there. */
function yamlLine(lines: readonly string[], path: Path): number | undefined {
  const numbers = mapYaml(lines);
  for (let depth = path.length; depth > 0; depth--) {
    const number = numbers.get(JSON.stringify(path.slice(0, depth)));
    if (number === undefined) continue;
    const inside = path[depth];
    const isThere = typeof inside !== 'string' || (lines[number - 1] ?? '').includes(inside);
    return isThere ? number : undefined;
  }
  const first = lines.findIndex((line) => typeof path[0] === 'string' && line.includes(`"${path[0]}"`));
  return first === -1 ? undefined : first + 1;
}

/** Line numbers of keys and list members, by `JSON.stringify` of their path. */
function mapYaml(lines: readonly string[]): Map<string, number> {
  const numbers = new Map<string, number>();
  const counts = new Map<string, number>();
  let open: { readonly indent: number; readonly part: string | number }[] = [];
  const enter = (indent: number, part: string | number, number: number): void => {
    open.push({ indent, part });
    numbers.set(JSON.stringify(open.map((one) => one.part)), number);
  };
  for (const [index, line] of lines.entries()) {
    let indent = line.search(/[^ ]/);
    if (indent === -1 || line[indent] === '#') continue;
    for (let dash = /^- +/.exec(line.slice(indent)); dash; dash = /^- +/.exec(line.slice(indent))) {
      // the dashes of a list may stand as far left as the key that holds it
      open = open.filter(
        (one) => one.indent < indent || (one.indent === indent && typeof one.part === 'string'),
      );
      const parent = JSON.stringify(open.map((one) => one.part));
      const count = counts.get(parent) ?? 0;
      counts.set(parent, count + 1);
      enter(indent, count, index + 1);
      indent += dash[0].length;
    }
    const key = /^(?:"([^"]*)"|'([^']*)'|([^\s"'#{[][^:#]*?))\s*:(?:\s|$)/.exec(line.slice(indent));
    if (!key) continue;
    open = open.filter((one) => one.indent < indent);
    enter(indent, key[1] ?? key[2] ?? key[3] ?? '', index + 1);
  }
  return numbers;
}

/** By `[section]` headers and `key =` lines; dotted keys too. */
function tomlLine(lines: readonly string[], path: Path): number | undefined {
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
