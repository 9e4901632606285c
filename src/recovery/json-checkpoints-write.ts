import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode, errorText, files, writeFully } from '../util/os/durable.js';
import { ok, type Result } from '../util/result.js';
import { temporaryName, writerOf } from './json-checkpoints-names.js';
import { JsonSyntax } from './json-syntax.js';
import { isNull } from './json-text.js';

/** Why a checkpoint was not saved. Nothing of it is left. */
export interface SaveProblem {
  readonly type: 'too-large' | 'not-json' | 'digest' | 'disk';
  /** One sentence. */
  readonly message: string;
  /** The system's own error code (`ENOSPC`, `EACCES`…), where there was one. */
  readonly code?: string;
}

export interface StreamLimits {
  readonly maxBytes: number;
  /** What the body's SHA-256 is to be, 64 hex digits. */
  readonly sha256?: string;
}

/** A file that holds a whole state, under a name that does not count yet. Its bytes are on the disk. */
export interface Written {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** So much is looked at before others have their turn: about a millisecond. */
const pieceBytes = 64 * 1024;
/** A temporary file that nobody wrote to for so long is nobody's. */
const forsakenMs = 3_600_000;

/**
 * Writes a body to a temporary file while it comes, checks it on the way and has it on the disk.
 * @throws BodyError with what the body itself threw, or the system's error; nothing is left then
 */
export async function writeBody(
  folder: string,
  body: AsyncIterable<Uint8Array>,
  limits: StreamLimits,
): Promise<Result<Written, SaveProblem>> {
  const file = path.join(folder, temporaryName());
  let whole = false;
  const handle = await files.open(file, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600);
  try {
    try {
      const taken = await take(handle, body, limits);
      if (!taken.ok) return taken;
      const { size } = await handle.stat();
      if (size !== taken.value.bytes)
        throw Object.assign(new Error(`short write to ${file}`), { code: 'ENOSPC' });
      await handle.sync();
      whole = true;
      return ok({ file, ...taken.value });
    } finally {
      await handle.close();
    }
  } finally {
    // where even that fails, the sweep takes it later
    if (!whole) await removeQuietly(file);
  }
}

async function take(
  handle: fs.FileHandle,
  body: AsyncIterable<Uint8Array>,
  { maxBytes, sha256: wanted }: StreamLimits,
): Promise<Result<Omit<Written, 'file'>, SaveProblem>> {
  const hash = createHash('sha256');
  const syntax = new JsonSyntax();
  let bytes = 0;
  let first: number | undefined;
  for await (const chunk of tellApart(body)) {
    bytes += chunk.length;
    first ??= chunk.find((byte) => byte > 0x20);
    if (bytes > maxBytes) return refuse('too-large', `the state is larger than ${maxBytes} bytes`);
    for (let at = 0; at < chunk.length; at += pieceBytes) {
      const piece = chunk.subarray(at, at + pieceBytes);
      const why = syntax.write(piece);
      if (why !== undefined) return refuse('not-json', `the state is not JSON: ${why}`);
      hash.update(piece);
      await writeFully(handle, piece);
    }
  }
  const why = syntax.end();
  if (why !== undefined) return refuse('not-json', `the state is not JSON: ${why}`);
  if (first === 0x6e) return refuse('not-json', `the state ${isNull}`);
  const sha256 = hash.digest('hex');
  if (wanted !== undefined && wanted !== sha256)
    return refuse('digest', `the state that came has the SHA-256 ${sha256}, not ${wanted}: send it again`);
  return ok({ bytes, sha256 });
}

/** A body that breaks off throws errors like the disk's: these go out as they are, wrapped until then. */
export class BodyError extends Error {}

async function* tellApart(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw new BodyError('the body broke off', { cause: error });
  }
}

const refuse = (
  type: SaveProblem['type'],
  message: string,
): { readonly ok: false; readonly error: SaveProblem } => ({ ok: false, error: { type, message } });

/** What helps against an error of the system's; `otherwise` where that is a matter of the folder. */
export function wayOutOf(code: string | undefined, otherwise: string): string {
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'free some space, or choose another folder for checkpoints';
    case 'EMFILE':
    case 'ENFILE':
      return 'raise the limit of open files (ulimit -n)';
    default:
      return otherwise;
  }
}

/** What the file system refused, as a problem. Anything that is no system error is a bug and is thrown on. */
export function diskProblem(workerId: string, dir: string, error: unknown): SaveProblem {
  const code = errorCode(error);
  if (code === undefined || code.startsWith('ERR_')) throw error;
  const wayOut = wayOutOf(code, 'make that folder writable, or choose another for checkpoints');
  return {
    type: 'disk',
    message: `cannot save a checkpoint of ${workerId} in ${dir}: ${errorText(error)}; ${wayOut}`,
    code,
  };
}

/** Removes what killed processes left half written. What cannot be removed is left: it harms nobody. */
export async function sweep(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const pid = writerOf(name);
    if (pid === undefined) continue;
    const file = path.join(folder, name);
    if (pid === 0 || isAlive(pid)) {
      const stat = await fs.stat(file).catch(systemErrorIsUndefined);
      if (!stat || Date.now() - stat.mtimeMs < forsakenMs) continue;
    }
    await removeQuietly(file);
  }
}

/** Removes a file; what cannot be removed is left. */
export const removeQuietly = async (file: string): Promise<void> =>
  files.unlink(file).catch(systemErrorIsUndefined);

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) !== 'ESRCH';
  }
}

function systemErrorIsUndefined(error: unknown): undefined {
  if (errorCode(error) === undefined) throw error;
}
