import { ok, type Result } from '../../util/result.js';
import { Folders, type OpenFolder, type OpenOne } from './folders.js';
import { Many } from './store.js';

export type { OpenFolder, OpenOne } from './folders.js';

/**
 * Opens what was named as checkpoint folders: one by its name is itself; several, or what a glob matches, are one
 * store over all of them, whose close gives every folder back.
 * @param patterns absolute
 * @param open opens one folder, and holds it for this process
 */
export async function openCheckpointFolders(
  patterns: readonly string[],
  open: OpenOne,
  clock: { now(): number; mono(): number },
  notice: (text: string) => void,
): Promise<Result<OpenFolder>> {
  const folders = await Folders.open(patterns, open, notice);
  if (!folders.ok) return folders;
  const { alone } = folders.value;
  return ok(alone ?? { store: new Many(folders.value, clock, notice), release: () => Promise.resolve() });
}
