import { statSync } from 'node:fs';
import { readProcess, readProcText } from '../../util/os/proc.js';
import { errorCode } from '../../util/os/durable.js';
import type { HostFacts } from '../../supervisor/ports.js';
import { freeBytes } from './disk.js';
import { kernelLinesOf } from './host-kernel.js';
import {
  findMemoryCgroup,
  oomCounterOf,
  readMemory,
  readOomKills,
  readPeak,
  type Memory,
  type MemoryCgroup,
} from './host-memory.js';

/** What of the host is watched while an attempt runs. */
export interface HostWatch {
  /** The memory killer's count as it was at the launch; for the launch record. undefined: not known. */
  readonly oomCount: OomCount | undefined;
  /**
   * Notes how much memory is in use: once it ran out it is free again.
   * @param main the attempt's main process
   */
  look(main: number): void;
  /** @param pids every process that the attempt was seen to have */
  facts(pids: ReadonlySet<number>): Promise<HostFacts>;
}

/** What a counter of the memory killer said. */
export interface OomCount {
  readonly file: string;
  readonly kills: number;
}

export interface HostWatchOptions {
  /** What training writes to. */
  readonly dirs: readonly string[];
  /** A process whose cgroup is the training's: ours, in which it is launched, or its own. */
  readonly pid?: number;
  /** When the attempt was launched, monotonic ms of this boot; undefined: in another boot, whose log is gone. */
  readonly sinceMono: number | undefined;
  /** What an earlier supervisor noted at the launch; counted from now on unless given. */
  readonly oomCount?: OomCount | undefined;
}

/** Notes the counters as they are now. */
export function watchHost({ dirs, pid, sinceMono, oomCount: noted }: HostWatchOptions): HostWatch {
  let membership = readProcText(`/proc/${pid ?? 'self'}/cgroup`) ?? '';
  let cgroup = cgroupOf(membership);
  const now = cgroup && countOf(oomCounterOf(cgroup));
  const oomCount = noted && (now === undefined || now.file === noted.file) ? noted : now;
  let counted = oomCount;
  let seen: readonly Memory[] = [];

  /** What starts the training may give it a cgroup of its own (systemd-run, srun): from then on that one counts. */
  const follow = (main: number): void => {
    const current = readProcText(`/proc/${main}/cgroup`) ?? '';
    if (current === '' || current === membership || isLeaving(current)) return;
    membership = current;
    cgroup = cgroupOf(current);
    counted = cgroup && countOf(oomCounterOf(cgroup));
  };
  const oomKills = (): number | undefined => {
    const kills = counted && readOomKills(counted.file);
    return counted && kills !== undefined ? kills - counted.kills : undefined;
  };
  const memory = (kills = 0): Memory | undefined => {
    const [most] = [...seen].sort((a, b) => b.usedBytes / b.limitBytes - a.usedBytes / a.limitBytes);
    const limitBytes = kills > 0 ? (most ?? readMemory(cgroup))?.limitBytes : undefined;
    const peak = cgroup && limitBytes !== undefined ? readPeak(cgroup) : undefined;
    // it may run out between two looks; the peak is of all the cgroup's life, but only at the limit anybody was killed
    const atLimit = limitBytes !== undefined && peak !== undefined && peak > 0.95 * limitBytes;
    return atLimit ? { usedBytes: Math.min(peak, limitBytes), limitBytes } : most;
  };

  return {
    oomCount,
    look(main) {
      follow(main);
      const memoryNow = readMemory(cgroup);
      if (memoryNow) seen = [...seen, memoryNow].slice(-looksKept);
    },
    async facts(pids) {
      const kills = oomKills();
      const used = memory(kills);
      const free = (await Promise.all(dirs.map(freeOf))).flatMap((entry) => (entry ? [entry] : []));
      const isStranger = (other: number): boolean => readProcess(other) !== undefined && !pids.has(other);
      const kernel =
        sinceMono === undefined ? undefined : await kernelLinesOf({ sinceMono, pids, isStranger });
      return {
        ...(kills !== undefined && { oomKills: kills }),
        ...(free.length > 0 && { freeBytes: Object.fromEntries(free) }),
        ...(used && { memory: used }),
        ...(kernel && kernel.length > 0 && { kernel }),
      };
    },
  };
}

/** Where the kernel counts how often its memory killer struck in a process's cgroup; as {@link findMemoryCgroup}. */
export function findOomFile(...of: Parameters<typeof findMemoryCgroup>): string | undefined {
  const cgroup = findMemoryCgroup(...of);
  return cgroup && oomCounterOf(cgroup);
}

/** Of three looks, 5 s apart, the one with the most in use is told. */
const looksKept = 3;

function countOf(file: string): OomCount | undefined {
  const kills = readOomKills(file);
  return kills === undefined ? undefined : { file, kills };
}

const cgroupOf = (membership: string): MemoryCgroup | undefined =>
  findMemoryCgroup(membership, readProcText('/proc/self/mountinfo') ?? '', isFile);

const isFile = (file: string): boolean => statSync(file, { throwIfNoEntry: false })?.isFile() === true;

async function freeOf(dir: string): Promise<readonly [string, number] | undefined> {
  try {
    return [dir, await freeBytes(dir)];
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined; // not there (any more): unknown
  }
}

/** An ending process is taken out of its cgroups before it is gone: it is at the root of them all (from a namespace: `/..`). */
const isLeaving = (cgroup: string): boolean =>
  cgroup
    .trimEnd()
    .split('\n')
    .every((line) => /:\/(?:\.\.\/?)*$/.test(line));
