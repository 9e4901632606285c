/**
 * What must stand in a text for a pattern to match it: one of these strings at least. It is read off the pattern, so
 * that a search for strings finds every place that is worth a look by the pattern itself.
 * @param least the shortest string that tells anything, characters
 * @returns undefined: nothing of that length is certain
 */
export function literalsOf(pattern: RegExp, least: number): readonly string[] | undefined {
  const reader = { source: pattern.source, at: 0 };
  const found = readAlternatives(reader, least);
  // what it is not made for (a stray bracket) tells nothing
  return reader.at === reader.source.length ? found : undefined;
}

interface Reader {
  readonly source: string;
  at: number;
}

type Literals = readonly string[] | undefined;

/** Of every alternative one string must be there, so all of them are asked for. */
function readAlternatives(reader: Reader, least: number): Literals {
  const all: Literals[] = [readSequence(reader, least)];
  while (reader.source[reader.at] === '|') {
    reader.at++;
    all.push(readSequence(reader, least));
  }
  return all.includes(undefined) ? undefined : [...new Set(all.flatMap((one) => one ?? []))];
}

function readSequence(reader: Reader, least: number): Literals {
  let best: Literals;
  let run = '';
  const offer = (literals: Literals): void => {
    if (literals && worth(literals) >= least && (!best || worth(literals) > worth(best))) best = literals;
  };
  const endRun = (): void => {
    if (run !== '') offer([run]);
    run = '';
  };
  while (reader.at < reader.source.length && !'|)'.includes(reader.source[reader.at] ?? '')) {
    const atom = readAtom(reader, least);
    const quantifier = /^(?:[*+?]|\{\d+(?:,\d*)?\})\??/.exec(reader.source.slice(reader.at))?.[0] ?? '';
    reader.at += quantifier.length;
    const optional = /^(?:[*?]|\{0)/.test(quantifier);
    if (atom === 'nothing') continue;
    if (typeof atom === 'object' && 'char' in atom && !optional) run += atom.char;
    if (typeof atom === 'object' && 'char' in atom && quantifier === '') continue;
    endRun();
    if (typeof atom === 'object' && 'group' in atom && !optional) offer(atom.group);
  }
  endRun();
  return best;
}

/** The shortest of them decides how often they are found in vain. */
const worth = (literals: readonly string[]): number => Math.min(...literals.map(({ length }) => length));

/** `nothing`: it takes no place; `any`: one character of several. */
type Atom = { readonly char: string } | { readonly group: Literals } | 'nothing' | 'any';

function readAtom(reader: Reader, least: number): Atom {
  const rest = reader.source.slice(reader.at);
  const char = rest[0] ?? '';
  if (char === '(') {
    const head = /^\((?:\?(?:<?[=!]|:|<\w+>))?/.exec(rest)?.[0] ?? '(';
    reader.at += head.length;
    const group = readAlternatives(reader, least);
    reader.at++; // its closing bracket
    return /[=!]$/.test(head) ? 'nothing' : { group };
  }
  if (char === '[') {
    reader.at += /^\[(?:\\.|[^\]\\])*\]/.exec(rest)?.[0].length ?? rest.length + 1;
    return 'any';
  }
  if (char === '\\') {
    reader.at += 2;
    const escaped = rest[1] ?? '';
    if (/[bB]/.test(escaped)) return 'nothing';
    return /[A-Za-z0-9]/.test(escaped) ? 'any' : { char: escaped };
  }
  reader.at++;
  if (char === '^' || char === '$') return 'nothing';
  return char === '.' ? 'any' : { char };
}
