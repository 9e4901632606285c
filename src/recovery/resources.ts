import { type Lack, lackingMemory, memoryNow, roomIn, spareBytes } from '../engines/local/room.js';
import { isGlob } from '../checkpoints/many/glob.js';
import type { RecoveryKind } from './decision.js';
import { type FolderSettings, newestSize } from './safe-look.js';

/**
 * What the machine lacks for another attempt: room for one more checkpoint in each folder; and after a lack of memory a
 * quarter of it, of the host or of our cgroup. undefined: nothing.
 */
export async function lackingResources(
  settings: FolderSettings,
  dirs: readonly string[],
  after: RecoveryKind,
): Promise<Lack | undefined> {
  const memory = after === 'host-memory' ? lackingMemory(memoryNow()) : undefined;
  if (memory) return memory;
  // what a glob matches has room together with the others, or is made by the training
  for (const dir of dirs.filter((one) => !isGlob(one))) {
    const bytes = (await newestSize(dir, settings)) ?? 0;
    const room = await roomIn(dir, bytes + spareBytes, 'the checkpoint folder', bytes > 0);
    if (room) return room;
  }
  return undefined;
}
