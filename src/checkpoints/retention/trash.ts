import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { isGone } from '../../util/os/dir-walk.js';
import { files, syncDir } from '../../util/os/durable.js';

const trashOf = (vault: string): string => path.join(vault, 'trash');

/**
 * Removes entries on the vault's file system: each is first renamed to where nothing is believed, so that a cut leaves it
 * whole or gone.
 * @param entries absolute paths
 * @throws the system's error; what was renamed by then is removed by the next {@link emptyTrash}
 */
export async function discard(vault: string, entries: readonly string[]): Promise<void> {
  if (entries.length === 0) return;
  const trash = trashOf(vault);
  await files.mkdir(trash, { recursive: true, mode: 0o700 });
  for (const entry of entries) {
    try {
      await files.rename(entry, path.join(trash, `${randomBytes(8).toString('hex')}-gone`));
    } catch (error) {
      // the trainer removed it in the same instant
      if (!isGone(error)) throw error;
    }
  }
  for (const folder of new Set(entries.map((entry) => path.dirname(entry)))) await syncDir(folder);
  await emptyTrash(vault);
}

/** Removes what a cut-off {@link discard} left. */
export async function emptyTrash(vault: string): Promise<void> {
  const trash = trashOf(vault);
  let names: readonly string[];
  try {
    names = await fs.readdir(trash);
  } catch (error) {
    if (isGone(error)) return;
    throw error;
  }
  for (const name of names) await files.rm(path.join(trash, name), { recursive: true, force: true });
}
