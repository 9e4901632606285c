import path from 'node:path';
import type { CheckpointStore } from '../../supervisor/ports.js';
import { missingAncestor } from '../../util/os/empty-dirs.js';
import type { AsideWish } from './store.js';

/**
 * For a rollback that no run asks for: what a run's `checkpoints.include` had kept goes back too.
 * @param wish clean: `checkpoints.clean` of the configuration that holds here
 */
export async function withKept(
  store: CheckpointStore,
  wish: Pick<AsideWish, 'clean' | 'stateDir' | 'cwd' | 'notice'>,
): Promise<CheckpointStore> {
  const { vault } = store;
  const keptNothing =
    vault === undefined || (await missingAncestor(path.join(vault, 'includes'))) !== undefined;
  if (keptNothing && wish.clean.length === 0) return store;
  // loads the hash library
  const { WithAside } = await import('./store.js');
  return new WithAside(store, { ...wish, include: [], interpreters: [], clock: { now: Date.now } });
}
