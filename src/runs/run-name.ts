import { scriptOf } from './script-of.js';

export { validRunName } from './valid-run-name.js';

/**
 * The name of a run that was not given one: the script's stem (`python train.py` → `train`, `python -m pkg.mod` →
 * `mod`), through launchers, shells and environment managers; else the command's.
 */
export function defaultRunName(argv: readonly string[]): string {
  const stem = scriptOf(argv)
    .replace(/[^\p{L}\p{N}._-]+/gu, '-')
    .replace(/\.{2,}/g, '.')
    .replace(/^[.-]+|[.-]+$/g, '');
  const name = cut(stem, 80);
  return name === '' ? 'run' : name;
}

/** `train`, `train-2`, `train-3`… for n = 1, 2, 3. */
export const numberedRunName = (name: string, n: number): string => (n < 2 ? name : `${cut(name, 90)}-${n}`);

/** At most so many characters, and 200 bytes. */
function cut(text: string, characters: number): string {
  let short = Array.from(text).slice(0, characters).join('');
  while (Buffer.byteLength(short) > 200) short = Array.from(short).slice(0, -1).join('');
  return short;
}
