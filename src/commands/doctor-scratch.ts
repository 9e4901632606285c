import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { errorCode, errorText, files } from '../util/os/durable.js';
import { readProcess } from '../util/os/proc.js';

export type Tried<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly why: string };

/** Begins the names of this host's; the pid and something random follow. */
const ours = `.trainguard-doctor-${os.hostname()}-`;
const owner = /^(\d+)-[0-9a-f]{8}$/;

/**
 * Does something in a new folder below `parent`, which is removed again: by a doctor that a signal ends too, and by
 * the next one if it was killed.
 */
export async function inScratch<T>(parent: string, work: (scratch: string) => Promise<T>): Promise<Tried<T>> {
  const scratch = path.join(parent, `${ours}${process.pid}-${randomBytes(4).toString('hex')}`);
  if (open.size === 0) listen();
  open.add(scratch);
  try {
    await sweep(parent);
    await files.mkdir(scratch, { mode: 0o700 });
    try {
      return { ok: true, value: await work(scratch) };
    } finally {
      await remove(scratch);
    }
  } catch (error) {
    return { ok: false, why: whyOf(error) };
  } finally {
    open.delete(scratch);
    if (open.size === 0) unlisten();
  }
}

const remove = (dir: string): Promise<void> => files.rm(dir, { recursive: true, force: true, maxRetries: 3 });

/** Removes what doctors left that were killed on this host. */
async function sweep(parent: string): Promise<void> {
  try {
    for (const name of await fs.readdir(parent)) {
      const pid = name.startsWith(ours) ? owner.exec(name.slice(ours.length))?.[1] : undefined;
      if (pid !== undefined && !readProcess(Number(pid))) await remove(path.join(parent, name));
    }
  } catch (error) {
    // whether anything can be done in this folder is told by what is tried there, not by this
    if (errorCode(error) === undefined) throw error;
  }
}

/** Folders are looked at side by side. */
const open = new Set<string>();
const endings = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const listen = (): void => endings.forEach((signal) => process.on(signal, leave));
const unlisten = (): void => endings.forEach((signal) => process.off(signal, leave));

/** Removes what is open, then lets the signal end us; a second one does not wait for that. */
function leave(signal: NodeJS.Signals): void {
  unlisten();
  // what is still at work in one may keep it from going; the next doctor takes it then
  void Promise.allSettled([...open].map(remove)).then(() => process.kill(process.pid, signal));
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'no permission',
  EPERM: 'no permission',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left',
  EDQUOT: 'the quota is used up',
  ENOTDIR: 'a file is in its place',
  EXDEV: 'it is on another file system',
};

/** Why something could not be done in a folder, in words. What is no failure of the system is thrown on. */
export function whyOf(error: unknown): string {
  const code = errorCode(error);
  if (code === undefined) throw error;
  return reasons[code] ?? errorText(error);
}
