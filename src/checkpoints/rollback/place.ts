import path from 'node:path';
import { stampOf, type Stamp } from '../../util/os/dir-walk.js';
import { inVault } from '../vault.js';

/** A checkpoint folder and its vault. */
export interface RollbackPlace {
  /** The checkpoint folder, a real path. */
  readonly dir: string;
  readonly vault: string;
}

/** What is put into the folder is made here first, below the vault. */
export const stageFolder = 'stage';

export const quarantineOf = (vault: string, tx: string): string => path.join(vault, inVault.quarantine, tx);

export const stageOf = (vault: string, tx: string): string => path.join(vault, stageFolder, tx);

/** Where something lies, or is to lie, when it is not in the vault. */
export const liveOf = (
  { dir }: RollbackPlace,
  entry: { readonly name: string; readonly path?: string },
): string => entry.path ?? path.join(dir, entry.name);

/** lstat of an absolute path; undefined if there is nothing. */
export const stampAt = (file: string): Promise<Stamp | undefined> =>
  stampOf(path.dirname(file), path.basename(file));
