import fs from 'node:fs/promises';
import path from 'node:path';
import type { Stamp } from '../../util/os/dir-walk.js';
import { errorCode } from '../../util/os/durable.js';
import type { Look, UnitDraft } from './layout.js';
import { isClosed } from './peek.js';

/**
 * For frameworks that write their pointer last and resume from what it names: a newer checkpoint that it does not name
 * yet was cut off, or is still being written. Where the pointer is the younger one, somebody set it back on purpose,
 * and what lies beyond is not resumed from either. A pointer that several saves left behind is not kept up any more
 * and tells nothing.
 * @param current the checkpoint that the pointer names
 */
export function unendedPast(
  drafts: readonly UnitDraft[],
  pointer: Stamp | undefined,
  current: UnitDraft | undefined,
): UnitDraft[] {
  if (!pointer || current?.number === undefined) return [...drafts];
  const { number, id } = current;
  const newer = drafts.filter((draft) => (draft.number ?? -1) > number);
  const setBack = newer.every((draft) => draft.members.every((entry) => entry.mtimeMs < pointer.mtimeMs));
  if (newer.length > 1 && !setBack) return [...drafts];
  const why = setBack
    ? { passedOver: `${pointer.path} was set back to ${id} after it` }
    : { unended: `${pointer.path} still names ${id}: its save did not end` };
  return drafts.map((draft) => (newer.includes(draft) ? { ...draft, ...why } : draft));
}

export const entryNamed = (look: Look, name: string): Stamp | undefined =>
  look.entries.find((entry) => entry.path === name);

/**
 * A path to `id` in the style of the one that stood there: its folder part stays, as it may be relative to the
 * program's working folder. An absolute one that does not lead into this folder, which was copied or moved, does not.
 */
export async function inStyleOf(old: string | undefined, dir: string, id: string): Promise<string> {
  if (old === undefined || old === '') return id;
  const folder = path.dirname(old);
  if (folder === '.') return old.startsWith('./') ? `./${id}` : id;
  return path.isAbsolute(folder) && !(await isSameFolder(folder, dir))
    ? path.join(dir, id)
    : path.join(folder, id);
}

async function isSameFolder(a: string, b: string): Promise<boolean> {
  try {
    return (await fs.realpath(a)) === (await fs.realpath(b));
  } catch (error) {
    if (isClosed(error) || errorCode(error) === 'ELOOP') return false;
    throw error;
  }
}
