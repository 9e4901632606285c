import path from 'node:path';
import { outside, type Move } from './intent.js';
import { stampAt } from './place.js';

/** The name in quarantine, and on the stage, of what does not lie in the checkpoint folder. */
export const outsideName = (index: number, file: string): string =>
  `${outside}/${index}-${path.basename(file)}`;

/** The move of a file or folder by its absolute path; undefined: it is gone. */
export async function moveOf(file: string, name: string): Promise<Move | undefined> {
  const stamp = await stampAt(file);
  return stamp && { id: file, name, inode: stamp.inode, path: file };
}
