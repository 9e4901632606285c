import { existsSync } from 'node:fs';
import path from 'node:path';

/** The repository's root, wherever the tests were compiled to. */
export const root = findRoot(import.meta.dirname);

/** A file of `fixtures/`: `fixture('trainers', 'digits.py')`. */
export const fixture = (...parts: readonly string[]): string => path.join(root, 'fixtures', ...parts);

function findRoot(from: string): string {
  if (existsSync(path.join(from, 'package.json'))) return from;
  const parent = path.dirname(from);
  if (parent === from) throw new Error(`no package.json above ${import.meta.dirname}`);
  return findRoot(parent);
}
