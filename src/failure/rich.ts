import { header } from './traceback-lines.js';

const top = /^╭─+ Traceback \(most recent call last\) ─+╮\s{0,8}$/;
const place = /^│ (\S[^│]{0,1000}?):(\d{1,9}) in (\S{1,200})\s{0,500}│\s{0,8}$/;

/**
 * A line of a traceback as rich (and typer with it) draws it, as Python would have written it: its head, a frame, or
 * what stands below one. undefined: it is none. The exception below the box is Python's own line.
 */
export function fromRich(line: string): string | undefined {
  const first = line[0];
  if (first !== '╭' && first !== '│' && first !== '╰') return undefined;
  if (first === '╭') return top.test(line) ? header : undefined;
  const at = place.exec(line);
  return at ? `  File "${at[1] ?? ''}", line ${at[2] ?? ''}, in ${at[3] ?? ''}` : '    …';
}
