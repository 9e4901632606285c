import { withKept } from '../checkpoints/include/with-kept.js';
import { openCheckpointFolders, type OpenFolder } from '../checkpoints/many/open.js';
import { openCheckpointStore } from '../checkpoints/open.js';
import { checkpointRegistryOf } from '../runs/run-dir.js';
import type { CheckpointStore } from '../supervisor/ports.js';
import { missingAncestor } from '../util/os/empty-dirs.js';
import { acquireLock } from '../util/os/lock.js';
import { ok, type Result } from '../util/result.js';
import { Aborted } from './abort.js';
import { clock, type FolderSettings, openToRead, optionsFor } from './safe-look.js';

/** Who goes into checkpoint folders, and how. */
export interface Visit {
  /** Who asks, for those who want the folder meanwhile. */
  readonly holder: string;
  /** Nobody named the folder as one of checkpoints: nothing is moved in it, or made beside it. */
  readonly handsOff: boolean;
  readonly notice: (text: string) => void;
}

/**
 * Does something in checkpoint folders, which meanwhile are held unless they are only read.
 * @returns exit 75 while a supervisor or somebody else holds a folder
 */
export async function inFolders<T>(
  settings: FolderSettings,
  visit: Visit,
  work: (store: CheckpointStore) => Promise<Result<T>>,
): Promise<Result<T>> {
  const { notice, handsOff } = visit;
  const opened = await openCheckpointFolders(
    settings.dirs,
    (dir) => (handsOff ? openToRead(dir, settings, notice) : openLocked(dir, settings, visit)),
    clock,
    notice,
  );
  if (!opened.ok) return opened;
  const { clean, stateDir } = settings;
  const store = await withKept(opened.value.store, { clean, stateDir, cwd: process.cwd(), notice });
  let aborted = false;
  try {
    // what a rollback that was cut off left is finished first
    const finished = await store.recover();
    if (!finished.ok) return finished;
    finished.value.forEach(notice);
    return await work(store);
  } catch (error) {
    aborted = error instanceof Aborted;
    throw error;
  } finally {
    const closed = store.close().then(() => opened.value.release());
    // what is being read is read to its end first, and nobody waits for that any more
    if (aborted)
      closed.catch((error: unknown) => notice(`a checkpoint folder was not closed: ${String(error)}`)); // prettier-ignore
    else await closed;
  }
}

async function openLocked(
  dir: string,
  settings: FolderSettings,
  { holder, notice }: Visit,
): Promise<Result<OpenFolder>> {
  if ((await missingAncestor(dir)) !== undefined) {
    // among others: its name may be wrong, and to open it for changes would make it
    notice(`the checkpoint folder ${dir} is not there, and is not made`);
    return openToRead(dir, settings, notice);
  }
  const opened = await openCheckpointStore({ ...optionsFor(dir, settings), onNotice: notice });
  if (!opened.ok) return opened;
  const store = opened.value;
  const { vault } = store;
  if (vault === undefined) return ok({ store, release: () => Promise.resolve() });
  // a program that no run of the command was started beside gets no state folder for it
  const hasState = (await missingAncestor(settings.stateDir)) === undefined;
  const lock = await acquireLock({
    ...{ kind: 'checkpoints', run: holder, dir: store.dir, keepIn: vault, onTrouble: notice },
    ...(hasState && { registry: checkpointRegistryOf(settings.stateDir) }),
  });
  if (lock.ok) return ok({ store, release: () => lock.value.release() });
  await store.close();
  return lock;
}
