import { statSync } from 'node:fs';
import { readProcText } from '../../util/os/proc.js';
import { errorCode } from '../../util/os/durable.js';
import type { HostFacts } from '../../supervisor/ports.js';
import { freeBytes } from './disk.js';

/** What of the host is watched while an attempt runs. */
export interface HostWatch {
  facts(): Promise<HostFacts>;
}

/**
 * Notes the counters as they are now.
 * @param dirs what training writes to
 * @param pid a process whose cgroup is the training's: ours, in which it is launched, or its own
 */
export function watchHost(dirs: readonly string[], pid: number | 'self' = 'self'): HostWatch {
  const file = findOomFile(
    readProcText(`/proc/${pid}/cgroup`) ?? '',
    readProcText('/proc/self/mountinfo') ?? '',
    isFile,
  );
  const before = file === undefined ? undefined : readOomKills(file);
  return {
    async facts() {
      const now = file === undefined ? undefined : readOomKills(file);
      const free = await Promise.all(dirs.map(freeOf));
      const known = free.flatMap((entry) => (entry ? [entry] : []));
      return {
        ...(before !== undefined && now !== undefined ? { oomKills: now - before } : {}),
        ...(known.length > 0 ? { freeBytes: Object.fromEntries(known) } : {}),
      };
    },
  };
}

/**
 * Where the kernel counts how often its memory killer struck in a cgroup: memory.events (v2) or memory.oom_control
 * (v1, since Linux 4.13). With both mounted, the one whose memory controller is at work.
 * @param cgroup /proc/self/cgroup
 * @param mountinfo /proc/self/mountinfo
 */
export function findOomFile(
  cgroup: string,
  mountinfo: string,
  exists: (file: string) => boolean,
): string | undefined {
  const memberships = cgroup.split('\n').map((line) => /^\d+:([^:]*):(.*)$/.exec(line));
  const mounts = mountinfo.split('\n').flatMap((line) => {
    // 30 23 0:26 /root /mount/point rw,nosuid - cgroup2 cgroup2 rw,memory
    const match = /^\S+ \S+ \S+ (\S+) (\S+) .*? - (cgroup2?) \S+ (\S+)/.exec(line);
    return match
      ? [{ root: match[1] ?? '/', point: match[2] ?? '', type: match[3], options: match[4] ?? '' }]
      : [];
  });
  for (const version of ['cgroup', 'cgroup2']) {
    const own = memberships.find((m) =>
      version === 'cgroup2' ? m?.[1] === '' : m?.[1]?.split(',').includes('memory'),
    );
    const inCgroup = own?.[2];
    if (inCgroup === undefined) continue;
    const name = version === 'cgroup2' ? 'memory.events' : 'memory.oom_control';
    for (const mount of mounts) {
      if (mount.type !== version) continue;
      if (version === 'cgroup' && !mount.options.split(',').includes('memory')) continue;
      // a container sees its own cgroup as the mount's root
      const below = inCgroup.startsWith(mount.root) ? inCgroup.slice(mount.root.length) : inCgroup;
      const file = [below, inCgroup, '']
        .map((dir) => `${mount.point}/${dir}/${name}`.replace(/\/+/g, '/'))
        .find(exists);
      if (file !== undefined) return file;
    }
  }
  return undefined;
}

function readOomKills(file: string): number | undefined {
  const count = /^oom_kill (\d+)$/m.exec(readProcText(file) ?? '')?.[1];
  return count === undefined ? undefined : Number(count);
}

const isFile = (file: string): boolean => statSync(file, { throwIfNoEntry: false })?.isFile() === true;

async function freeOf(dir: string): Promise<readonly [string, number] | undefined> {
  try {
    return [dir, await freeBytes(dir)];
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined; // not there (any more): unknown
  }
}
