import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';

/**
 * Every change that trainguard makes to its own state goes through this object and the handles it opens, so that a
 * test can make each of them fail (test/support/faults.ts). What does not, and why, is listed in
 * test/util/durable.test.ts.
 */
export const files = {
  open: fs.open,
  copyFile: fs.copyFile,
  rename: fs.rename,
  unlink: fs.unlink,
  link: fs.link,
  symlink: fs.symlink,
  mkdir: fs.mkdir,
  rmdir: fs.rmdir,
  rm: fs.rm,
};

let temporaries = 0;

/**
 * Replaces a file as a whole or not at all: temporary file beside it, written fully, its size checked, fsync, rename,
 * fsync of the folder. On failure the temporary file is removed and the error thrown is the system's own.
 * @param mode permission bits, 0600 unless given
 */
export async function writeFileAtomic(
  target: string,
  data: string | Uint8Array,
  mode = 0o600,
): Promise<void> {
  const bytes = typeof data === 'string' ? Buffer.from(data) : data;
  const temporary = path.join(
    path.dirname(target),
    `.${path.basename(target)}.${process.pid}.${temporaries++}.tmp`,
  );
  try {
    const handle = await files.open(
      temporary,
      constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY,
      mode,
    );
    try {
      await writeFully(handle, bytes);
      const { size } = await handle.stat();
      if (size !== bytes.length) throw shortWrite(target, size, bytes.length);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await files.rename(temporary, target);
  } catch (error) {
    // where even that fails, the first error says why
    await files.unlink(temporary).catch(() => undefined);
    throw error;
  }
  await syncDir(path.dirname(target));
}

/**
 * Removes what {@link writeFileAtomic} of a killed process left in a folder. Nobody else may be writing in it. What
 * cannot be removed is left: it harms nobody.
 * @param of only those of files whose names begin so
 */
export async function sweepTemporaries(dir: string, of = ''): Promise<void> {
  try {
    for (const name of await fs.readdir(dir))
      if (name.startsWith(`.${of}`) && /^\..+\.\d+\.\d+\.tmp$/.test(name))
        await files.unlink(path.join(dir, name));
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
  }
}

/** Writes all of `bytes` at the handle's position (or `position`); a short write is continued, none at all throws. */
export async function writeFully(handle: fs.FileHandle, bytes: Uint8Array, position?: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const at = position === undefined ? null : position + done;
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, at);
    if (bytesWritten === 0) throw shortWrite('file', done, bytes.length);
    done += bytesWritten;
  }
}

/** Makes renames and creations in a folder survive a power cut. */
export async function syncDir(dir: string): Promise<void> {
  const handle = await files.open(dir, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes one file's bytes survive a power cut. */
export async function syncFile(file: string): Promise<void> {
  await syncDir(file);
}

/** `ENOSPC`, `EACCES`… of anything thrown by node, else undefined. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** The text of anything thrown. */
export const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function shortWrite(target: string, done: number, wanted: number): Error {
  return Object.assign(new Error(`short write to ${target}: ${done} of ${wanted} bytes`), { code: 'ENOSPC' });
}
