import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setImmediate as breathe } from 'node:timers/promises';
import { errorCode } from './durable.js';

/** A process that has a file open for writing. */
export interface FileWriter {
  readonly pid: number;
  readonly path: string;
}

/** O_WRONLY and O_RDWR of open(2). */
const accessMode = 0o3;

/**
 * Who has a file below `dir` (a real path) open for writing, by /proc. Processes that we may not look into, and
 * systems without /proc, have none.
 */
export async function writersUnder(dir: string): Promise<readonly FileWriter[]> {
  const writers: FileWriter[] = [];
  const prefix = dir.endsWith('/') ? dir : `${dir}/`;
  for (const entry of listed('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    writers.push(...writersOf(Number(entry), prefix));
    await breathe();
  }
  return writers;
}

function writersOf(pid: number, prefix: string): FileWriter[] {
  const writers: FileWriter[] = [];
  for (const fd of listed(`/proc/${pid}/fd`)) {
    const target = attempt(() => readlinkSync(`/proc/${pid}/fd/${fd}`));
    if (!target?.startsWith(prefix)) continue;
    const info = attempt(() => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'));
    const flags = /^flags:\s*([0-7]+)/m.exec(info ?? '')?.[1];
    if (flags !== undefined && (parseInt(flags, 8) & accessMode) !== 0) writers.push({ pid, path: target });
  }
  return writers;
}

const listed = (dir: string): string[] => attempt(() => readdirSync(dir)) ?? [];

/** Processes and descriptors come and go, and others' are closed to us; anything else is a bug. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'ENOTDIR', 'EINVAL'].includes(errorCode(error) ?? ''))
      return undefined;
    throw error;
  }
}
