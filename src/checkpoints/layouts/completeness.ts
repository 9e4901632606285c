import path from 'node:path';
import type { Unit } from '../unit.js';

/** For a layout whose folders hold a file without which a save did not end. */
export const missing =
  (...required: readonly string[]) =>
  (unit: Unit): string | undefined => {
    const names = new Set(unit.files.map((file) => file.path));
    const folders = unit.members.filter((entry) => entry.kind === 'folder');
    const name = folders.flatMap((entry) =>
      required.filter((one) => !names.has(path.join(entry.path, one))),
    )[0];
    return name === undefined ? undefined : `${name} is missing: its save did not end`;
  };
