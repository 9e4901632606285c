import path from 'node:path';
import { readProcText } from '../../util/os/proc.js';
import type { HostFacts } from '../../supervisor/ports.js';

/** A folder of the memory controller. */
export interface MemoryCgroup {
  readonly version: 1 | 2;
  readonly dir: string;
  /** Where the controller is mounted; limits from here down to `dir` hold. */
  readonly mount: string;
}

/** How much memory is in use, and how much there is, bytes. */
export type Memory = NonNullable<HostFacts['memory']>;

/** The kernel's count of how often its memory killer struck: since Linux 4.13 for version 1. */
export const oomCounterOf = ({ version, dir }: MemoryCgroup): string =>
  path.join(dir, version === 2 ? 'memory.events' : 'memory.oom_control');

/**
 * The memory cgroup of a process. With both versions mounted, the one whose memory controller is at work.
 * @param cgroup /proc/PID/cgroup
 * @param mountinfo /proc/self/mountinfo
 */
export function findMemoryCgroup(
  cgroup: string,
  mountinfo: string,
  exists: (file: string) => boolean,
): MemoryCgroup | undefined {
  const memberships = cgroup.split('\n').map((line) => /^\d+:([^:]*):(.*)$/.exec(line));
  const mounts = mountinfo.split('\n').flatMap((line) => {
    // 30 23 0:26 /root /mount/point rw,nosuid - cgroup2 cgroup2 rw,memory
    const match = /^\S+ \S+ \S+ (\S+) (\S+) .*? - (cgroup2?) \S+ (\S+)/.exec(line);
    const [, root = '/', mount = '', type = '', options = ''] = match ?? [];
    return match ? [{ root, mount, version: type === 'cgroup2' ? 2 : 1, options }] : [];
  });
  for (const version of [1, 2] as const) {
    const own = memberships.find((m) =>
      version === 2 ? m?.[1] === '' : m?.[1]?.split(',').includes('memory'),
    );
    const inCgroup = own?.[2];
    if (inCgroup === undefined) continue;
    for (const { root, mount, options, ...mounted } of mounts) {
      if (mounted.version !== version) continue;
      if (version === 1 && !options.split(',').includes('memory')) continue;
      // a container sees its own cgroup as the mount's root
      const below = inCgroup.startsWith(root) ? inCgroup.slice(root.length) : inCgroup;
      const found = [below, inCgroup, '']
        .map((dir) => ({ version, mount, dir: path.resolve(path.join(mount, dir)) }))
        .find((candidate) => exists(oomCounterOf(candidate)));
      if (found) return found;
    }
  }
  return undefined;
}

/** How often the memory killer struck so far; undefined: the file does not say. */
export function readOomKills(counter: string): number | undefined {
  const count = /^oom_kill (\d+)$/m.exec(readProcText(counter) ?? '')?.[1];
  return count === undefined ? undefined : Number(count);
}

/**
 * The memory that is nearest to its limit: of the cgroup, of one above it, or of the host. Cached files that the kernel
 * can drop at once do not count. undefined: not known.
 */
export function readMemory(cgroup: MemoryCgroup | undefined): Memory | undefined {
  const known = [...levelsOf(cgroup).map(memoryOf), hostMemory(readProcText('/proc/meminfo') ?? '')];
  return known
    .flatMap((memory) => memory ?? [])
    .sort((a, b) => a.limitBytes - a.usedBytes - (b.limitBytes - b.usedBytes))
    .at(0);
}

/** The cgroup and all above it, as far as they are mounted. */
function levelsOf(cgroup: MemoryCgroup | undefined): readonly MemoryCgroup[] {
  if (!cgroup) return [];
  const { dir, mount } = cgroup;
  if (dir === mount || !dir.startsWith(mount)) return [cgroup];
  return [cgroup, ...levelsOf({ ...cgroup, dir: path.dirname(dir) })];
}

function memoryOf({ version, dir }: MemoryCgroup): Memory | undefined {
  const [current, limit, cached] =
    version === 2
      ? ['memory.current', 'memory.max', 'inactive_file']
      : ['memory.usage_in_bytes', 'memory.limit_in_bytes', 'total_inactive_file'];
  const read = (name: string): number => Number.parseInt(readProcText(path.join(dir, name)) ?? '', 10);
  const limitBytes = read(limit); // `max` is no number
  const usedBytes = read(current);
  if (!(limitBytes < noLimit) || Number.isNaN(usedBytes)) return undefined;
  const droppable = new RegExp(`^${cached} (\\d+)$`, 'm').exec(
    readProcText(path.join(dir, 'memory.stat')) ?? '',
  );
  return { limitBytes, usedBytes: Math.max(0, usedBytes - Number(droppable?.[1] ?? 0)) };
}

/** Version 1 says "no limit" as a number of this size, bytes. */
const noLimit = 2 ** 60;

/** @param meminfo /proc/meminfo */
export function hostMemory(meminfo: string): Memory | undefined {
  const read = (name: string): number =>
    1024 * Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(meminfo)?.[1]);
  const limitBytes = read('MemTotal');
  const usedBytes = limitBytes - read('MemAvailable');
  return Number.isNaN(usedBytes) ? undefined : { usedBytes, limitBytes };
}

/** The most that the cgroup ever used, bytes; undefined: the kernel does not say. */
export function readPeak({ version, dir }: MemoryCgroup): number | undefined {
  const file = version === 2 ? 'memory.peak' : 'memory.max_usage_in_bytes';
  const peak = Number.parseInt(readProcText(path.join(dir, file)) ?? '', 10);
  return Number.isNaN(peak) ? undefined : peak;
}
