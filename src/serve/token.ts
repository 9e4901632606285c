import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode, errorText, files, syncDir, writeFileAtomic } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { flagNames, type OptionNames } from './option-names.js';

/** 32 random bytes as base64url are 43 characters. */
const randomLength = 32;
const shortest = 32;
const longest = 4096;
/** What can stand behind `Bearer` (RFC 6750). */
const form = /^[A-Za-z0-9._~+/-]+=*$/;

/**
 * Reads the token that every request must bear, or makes it, 0600, where there is no such file. Two that start at once get
 * the same one.
 * @returns exit 78 where the file is open to others, or holds no token of 32 characters at least
 */
export async function readOrMakeToken(
  file: string,
  { tokenFile }: OptionNames = flagNames,
): Promise<Result<string>> {
  try {
    return (await read(file, tokenFile)) ?? (await make(file, tokenFile));
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    return fail(
      `cannot use the token file ${file}: ${errorText(error)}; make it readable, or choose another ${tokenFile}`,
      exitStatus.config,
      code,
    );
  }
}

/** Compares in a time that tells nothing of where they differ. */
export const sameToken = (given: string, token: string): boolean => timingSafeEqual(hash(given), hash(token));

const hash = (text: string): Buffer => createHash('sha256').update(text).digest();

/** @returns undefined: there is no such file */
async function read(file: string, tokenFile: string): Promise<Result<string> | undefined> {
  let handle: fs.FileHandle;
  try {
    // a pipe of that name would be waited for
    handle = await fs.open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) return refuse(`${file} is no file: choose another ${tokenFile}`);
    const open = whoElse(stat, tokenFile);
    if (open !== undefined) return refuse(`the token file ${file} ${open}`);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(longest + 1), 0, longest + 1, 0);
    const token = buffer.toString('latin1', 0, bytesRead).trim();
    if (token.length >= shortest && bytesRead <= longest && form.test(token)) return ok(token);
    const why =
      token === ''
        ? 'is empty'
        : token.length < shortest
          ? `holds fewer than ${shortest} characters`
          : 'holds no bearer token';
    return refuse(`the token file ${file} ${why}: delete it, and a new one is made at the next start`);
  } finally {
    await handle.close();
  }
}

/** Who could read the token besides us, and the way out. */
function whoElse({ mode, uid }: Stats, tokenFile: string): string | undefined {
  if ((mode & 0o077) !== 0)
    return `can be read by others (mode ${(mode & 0o777).toString(8)}): make it yours alone with chmod 600, and delete it if they may have read it`;
  const us = process.getuid?.();
  return us === undefined || us === 0 || uid === us || uid === 0
    ? undefined
    : `belongs to another user (uid ${uid}): choose another ${tokenFile}`;
}

async function make(file: string, tokenFile: string): Promise<Result<string>> {
  // a name that is swept with the half-written files of the folder
  const draft = path.join(
    path.dirname(file),
    `.${path.basename(file)}.${process.pid}.${randomBytes(6).readUIntBE(0, 6)}.tmp`,
  );
  await writeFileAtomic(draft, `${randomBytes(randomLength).toString('base64url')}\n`);
  try {
    // unlike a rename this takes nothing away from who was first
    await files.link(draft, file);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  } finally {
    await files.unlink(draft);
  }
  await syncDir(path.dirname(file));
  return (
    (await read(file, tokenFile)) ??
    refuse(`the token file ${file} was removed as soon as it was made: start again`)
  );
}

const refuse = (message: string): Result<never> => fail(message, exitStatus.config);
