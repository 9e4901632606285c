/** Where things stand in a JSON text. */
export interface JsonMap {
  /** Offsets of keys and list members, by `JSON.stringify` of their path. */
  readonly offsets: ReadonlyMap<string, number>;
  /** Offset of the first thing that is not JSON. */
  readonly errorAt?: number;
}

const blank = /[ \t\r\n]*/y;
const stringToken = /"(?:[^"\\\u0000-\u001f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"/y;
const scalar = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

type Path = (string | number)[];

/** Scans a JSON text; unlike JSON.parse it always says where an error is. */
export function mapJson(text: string): JsonMap {
  const offsets = new Map<string, number>();
  let at = 0;

  const take = (token: RegExp): string | undefined => {
    token.lastIndex = at;
    const found = token.exec(text)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const takeChar = (char: string): boolean => {
    take(blank);
    if (text[at] !== char) return false;
    at++;
    return true;
  };

  function value(path: Path): boolean {
    take(blank);
    if (path.length > 100) return false;
    if (text[at] === '{') return members('}', path, keyed);
    if (text[at] === '[') return members(']', path, (index) => value([...path, index]));
    return take(stringToken) !== undefined || take(scalar) !== undefined;
  }

  function members(close: string, path: Path, member: (index: number, path: Path) => boolean): boolean {
    at++;
    if (takeChar(close)) return true;
    for (let index = 0; ; index++) {
      take(blank);
      offsets.set(JSON.stringify([...path, index]), at);
      if (!member(index, path)) return false;
      if (takeChar(close)) return true;
      if (!takeChar(',')) return false;
    }
  }

  function keyed(_index: number, path: Path): boolean {
    const start = at;
    const key = take(stringToken);
    if (key === undefined) return false;
    const own = [...path, JSON.parse(key) as string];
    offsets.set(JSON.stringify(own), start);
    return takeChar(':') && value(own);
  }

  const whole = value([]);
  take(blank);
  return whole && at === text.length ? { offsets } : { offsets, errorAt: at };
}
