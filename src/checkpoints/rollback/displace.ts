import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { stampOf, type Stamp } from '../../util/os/dir-walk.js';
import { errorCode, files, syncDir } from '../../util/os/durable.js';
import { stampAt } from './place.js';

export interface Berth {
  /** `quarantine/<tx>`. */
  readonly own: string;
  /** The name there; `name~1` and so on if another already lies under it. */
  readonly name: string;
  /** What will take the place; undefined: nothing, so what lies there leaves it at once. */
  readonly by?: Stamp;
  /** It does not lie in the checkpoint folder, so perhaps on another device than the vault: then it is copied. */
  readonly afar: boolean;
}

/**
 * Brings what lies at `file` into quarantine. If a file or a link will take its place, it gets a second name there, so
 * that its own is never missing; else it is renamed. Doing it again does nothing.
 */
export async function displace(live: Stamp, file: string, berth: Berth): Promise<void> {
  const { own, name, by, afar } = berth;
  const to = await freeBerth(live, file, own, name);
  const keeps = by !== undefined && by.kind !== 'folder' && live.kind !== 'folder';
  if (to !== undefined && keeps) {
    await secondName(live, file, to, afar);
    await syncDir(path.dirname(to));
  } else if (to !== undefined) {
    await carry(live, file, to, afar);
  } else if (!keeps) {
    // across devices, cut off between the copy and this
    await files.unlink(file);
  }
}

/** Puts what was staged in its place, which is free or held by a file that has a second name. */
export async function bring(from: string, to: string, afar: boolean): Promise<void> {
  try {
    await files.rename(from, to);
  } catch (error) {
    const staged = await stampAt(from);
    if (!afar || errorCode(error) !== 'EXDEV' || staged === undefined || staged.kind === 'folder')
      throw error;
    await copyAcross(from, to);
    await files.unlink(from);
  }
}

/** Where it is to lie; undefined: it lies in quarantine already. */
async function freeBerth(live: Stamp, file: string, own: string, name: string): Promise<string | undefined> {
  for (let n = 0; ; n++) {
    const candidate = n === 0 ? name : `${name}~${n}`;
    const there = await stampOf(own, candidate);
    if (!there) return path.join(own, candidate);
    if (await isSame(live, file, there, path.join(own, candidate))) return undefined;
  }
}

async function isSame(live: Stamp, file: string, there: Stamp, copy: string): Promise<boolean> {
  if (live.inode === there.inode) return true;
  if (live.kind !== there.kind || live.kind === 'folder') return false;
  if (live.kind === 'other') return (await linkText(file)) === (await linkText(copy));
  // a copy from another device: times are copied to the microsecond
  const [here, now] = await Promise.all([fs.stat(copy), fs.stat(file)]);
  return here.dev !== now.dev && live.size === there.size && Math.abs(live.mtimeMs - there.mtimeMs) < 0.01;
}

async function secondName(live: Stamp, file: string, to: string, afar: boolean): Promise<void> {
  // some systems follow a symbolic link when they make a hard one
  const text = live.kind === 'other' ? await linkText(file) : undefined;
  if (text !== undefined) {
    await files.symlink(text, to);
    return;
  }
  try {
    await files.link(file, to);
  } catch (error) {
    const code = errorCode(error) ?? '';
    if (code === 'EXDEV' && afar) await copyAcross(file, to);
    // no hard links here: its name is missing for an instant, and the journal knows
    else if (['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code))
      await files.rename(file, to);
    else throw error;
  }
}

async function carry(live: Stamp, file: string, to: string, afar: boolean): Promise<void> {
  try {
    await files.rename(file, to);
  } catch (error) {
    if (!afar || errorCode(error) !== 'EXDEV' || live.kind === 'folder') throw error;
    await copyAcross(file, to);
    await files.unlink(file);
  }
}

/** Whole or not at all: to a temporary name beside it, with its time, then renamed; durable. */
async function copyAcross(from: string, to: string): Promise<void> {
  const stat = await fs.lstat(from);
  // always the same name: what a crash leaves of it is written over when this is done again
  const temporary = path.join(path.dirname(to), `.${path.basename(to)}.trainguard.tmp`);
  if (stat.isSymbolicLink()) {
    await files.rm(temporary, { force: true });
    await files.symlink(await fs.readlink(from), temporary);
  } else {
    await files.copyFile(from, temporary, constants.COPYFILE_FICLONE);
    const handle = await files.open(temporary, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      await handle.utimes(stat.atimeMs / 1000, stat.mtimeMs / 1000);
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
  await files.rename(temporary, to);
  await syncDir(path.dirname(to));
}

/** undefined: it is no symbolic link. */
async function linkText(file: string): Promise<string | undefined> {
  try {
    return await fs.readlink(file);
  } catch (error) {
    if (errorCode(error) === 'EINVAL') return undefined;
    throw error;
  }
}
