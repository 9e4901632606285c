import { statSync } from 'node:fs';
import { findMemoryCgroup, type Memory, readMemory } from '../../engines/local/host-memory.js';
import { readProcText } from '../../util/os/proc.js';
import { formatBytes } from '../../util/text.js';
import type { Lack } from './lack.js';

/** Of our cgroup, in which the training will be, or of the host: the one that is nearest to its limit. */
export const memoryNow = (): Memory | undefined =>
  readMemory(
    findMemoryCgroup(
      readProcText('/proc/self/cgroup') ?? '',
      readProcText('/proc/self/mountinfo') ?? '',
      (file) => statSync(file, { throwIfNoEntry: false })?.isFile() === true,
    ),
  );

/**
 * After the memory killer struck: at least a quarter of the memory must be free. That is a guess. What the killed
 * attempt used says less: it was killed because that was all there is.
 */
export function lackingMemory(memory: Memory | undefined): Lack | undefined {
  if (!memory) return undefined;
  const { limitBytes, usedBytes } = memory;
  const [wantedBytes, freeBytes] = [limitBytes / 4, limitBytes - usedBytes];
  if (freeBytes >= wantedBytes) return undefined;
  const seen = `${formatBytes(Math.max(0, freeBytes))} of ${formatBytes(limitBytes)} are free`;
  return { about: 'memory', words: `${formatBytes(wantedBytes)} of free memory (${seen})` };
}
