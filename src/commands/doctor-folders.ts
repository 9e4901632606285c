import fs from 'node:fs/promises';
import path from 'node:path';
import { readRate } from '../checkpoints/settle.js';
import { probe } from '../checkpoints/vault.js';
import type { FolderFacts } from '../report/doctor-folders.js';
import { writeFileAtomic } from '../util/os/durable.js';
import { missingAncestor } from '../util/os/empty-dirs.js';
import { acquireLock } from '../util/os/lock.js';
import { readProcText } from '../util/os/proc.js';
import { inScratch, whyOf } from './doctor-scratch.js';
import { ask } from './doctor-tools.js';

/** The folder itself, or the nearest one above it that is there. */
export async function nearestThere(dir: string): Promise<string> {
  const missing = await missingAncestor(dir);
  return missing === undefined ? dir : path.dirname(missing);
}

/** Looks at a folder that a run writes to, and tries it with a file that is removed again. */
export async function folderFacts(what: string, dir: string, isState = false): Promise<FolderFacts> {
  const there = await nearestThere(dir);
  const tried = await inScratch(there, async (scratch) => {
    const file = path.join(scratch, 'probe');
    await writeFileAtomic(file, Buffer.alloc(8192, 1));
    if (!isState || process.platform !== 'linux') return {};
    const punched = await ask('fallocate', '--punch-hole', '--offset', '0', '--length', '4096', file);
    return { punchesHoles: punched.ok };
  });
  const overQuota = isState ? await quotaOver() : undefined;
  return {
    ...{ what, dir, there },
    ...(await roomIn(there)),
    ...(overQuota !== undefined && { overQuota }),
    ...(tried.ok ? tried.value : { problem: tried.why }),
  };
}

type Room = Pick<FolderFacts, 'fileSystem' | 'freeBytes' | 'freeInodes' | 'problem'>;

async function roomIn(dir: string): Promise<Room> {
  try {
    const { bavail, bsize, files: inodes, ffree } = await fs.statfs(dir);
    return {
      fileSystem: await fileSystemOf(dir),
      freeBytes: bavail * bsize,
      // btrfs and some network file systems count none
      ...(inodes > 0 && { freeInodes: ffree }),
    };
  } catch (error) {
    return { fileSystem: { name: 'a lost mount', kind: 'local' }, freeBytes: 0, problem: whyOf(error) };
  }
}

/** Why a rename from a folder does not reach where its vault would lie; undefined: it does. */
export async function whyNoRename(dir: string, vaultParent: string): Promise<string | undefined> {
  const tried = await inScratch(vaultParent, (scratch) => probe(dir, scratch));
  return tried.ok ? undefined : tried.why;
}

/** Takes a lock as a run does, in a folder that is removed again. */
export async function tryLock(
  there: string,
): Promise<{ readonly problem?: string; readonly trouble?: string }> {
  let trouble: string | undefined;
  const onTrouble = (text: string): void => void (trouble = text);
  const tried = await inScratch(there, async (scratch) => {
    const lock = await acquireLock({ kind: 'run', run: 'doctor', dir: scratch, keepIn: scratch, onTrouble });
    if (!lock.ok) return lock.error.message;
    await lock.value.release();
    return undefined;
  });
  // that nothing can be written there is said of the folder itself
  const problem = tried.ok ? tried.value : undefined;
  return { ...(problem !== undefined && { problem }), ...(trouble !== undefined && { trouble }) };
}

/** What quota(1) has to complain of; undefined: nothing, or it is not there to ask. */
async function quotaOver(): Promise<string | undefined> {
  const { stdout } = await ask('quota', '-q');
  return stdout.trim().split('\n')[0] || undefined;
}

/** The file system by its name in the table of mounts, where there is one. */
async function fileSystemOf(dir: string): Promise<FolderFacts['fileSystem']> {
  const shared = (await readRate(dir)) !== undefined;
  const real = await fs.realpath(dir);
  const name = nameOfMount(readProcText('/proc/self/mountinfo') ?? '', real) ?? 'this file system';
  const kind = shared ? 'network' : /^(?:tmpfs|ramfs)$/.test(name) ? 'memory' : 'local';
  return { name, kind };
}

/** @param mountinfo /proc/self/mountinfo; the last mount of the longest path holds */
export function nameOfMount(mountinfo: string, dir: string): string | undefined {
  let best: { readonly length: number; readonly name: string } | undefined;
  for (const line of mountinfo.split('\n')) {
    const [, point, name] = /^\S+ \S+ \S+ \S+ (\S+) .*? - (\S+)/.exec(line) ?? [];
    if (point === undefined || name === undefined) continue;
    const plain = point.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
    const holds = plain === '/' || dir === plain || dir.startsWith(`${plain}/`);
    if (holds && plain.length >= (best?.length ?? 0)) best = { length: plain.length, name };
  }
  return best?.name;
}
