import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { damaged, refused, tooNew } from '../runs/problems.js';
import { schemaVersion } from '../runs/versioned-file.js';
import { errorCode, files, syncDir, writeFully } from '../util/os/durable.js';
import { ok, type Result } from '../util/result.js';
import type { KeptAnswer } from './answers.js';
import { type Row, WorkerImage } from './worker-journal-image.js';

interface Content {
  readonly schemaVersion: number;
  /** Of the last entry of the journal that is in it for certain. */
  readonly seq: number;
  readonly monitoring: boolean;
  readonly workers: readonly Row[];
  readonly answers: readonly KeptAnswer[];
}

/** So many workers or answers are written before others have their turn: about a millisecond. */
const sliceLength = 200;
const sliceBytes = 256 * 1024;
let temporaries = 0;

/**
 * Replaces `state.json` as a whole by what the image holds, slice by slice, while the image goes on changing: later changes
 * may be in it or not, and the journal that follows entry `seq` says them again.
 */
export async function writeSnapshot(file: string, image: WorkerImage, seq: number): Promise<void> {
  const temporary = path.join(
    path.dirname(file),
    `.${path.basename(file)}.${process.pid}.${temporaries++}.tmp`,
  );
  try {
    const handle = await files.open(
      temporary,
      constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY,
      0o600,
    );
    try {
      let check = 0;
      let bytes = 0;
      for (const slice of slices(image, seq)) {
        const block = Buffer.from(slice);
        check = crc32(block, check);
        bytes += block.length;
        await writeFully(handle, block);
      }
      const end = Buffer.from(`,"check":"${check.toString(16).padStart(8, '0')}"}\n`);
      await writeFully(handle, end);
      const { size } = await handle.stat();
      if (size !== bytes + end.length)
        throw Object.assign(new Error(`short write to ${file}`), { code: 'ENOSPC' });
      await handle.sync();
    } finally {
      await handle.close();
    }
    await files.rename(temporary, file);
  } catch (error) {
    // where even that fails, the first error says why
    await files.unlink(temporary).catch(() => undefined);
    throw error;
  }
  await syncDir(path.dirname(file));
}

function* slices(image: WorkerImage, seq: number): Generator<string> {
  yield `{"schemaVersion":${schemaVersion},"seq":${seq},"monitoring":${image.monitoring},"workers":[`;
  yield* list(image.rows.values());
  yield '],"answers":[';
  yield* list(image.answers.values());
  yield ']';
}

/** One line each, many lines at a time. */
function* list(values: Iterable<object>): Generator<string> {
  let lines: string[] = [];
  let bytes = 0;
  let before = '\n';
  for (const value of values) {
    const line = before + JSON.stringify(value);
    before = ',\n';
    lines.push(line);
    bytes += line.length;
    if (lines.length < sliceLength && bytes < sliceBytes) continue;
    yield lines.join('');
    lines = [];
    bytes = 0;
  }
  yield lines.join('');
}

const tail = /,"check":"([0-9a-f]{8})"\}\n$/;

/** Reads what {@link writeSnapshot} wrote; a missing one is empty. Damage is a Problem (exit 125). */
export async function readSnapshot(
  file: string,
  wayOut: string,
): Promise<Result<{ readonly image: WorkerImage; readonly seq: number }>> {
  const image = new WorkerImage();
  let bytes: Buffer;
  try {
    bytes = await fs.readFile(file);
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? ok({ image, seq: 0 }) : refused(`read ${file}`, error);
  }
  const version = Number(/^\{"schemaVersion":(\d{1,9}),/.exec(bytes.toString('latin1', 0, 40))?.[1]);
  if (version > schemaVersion) return tooNew(file, version, schemaVersion);
  const end = tail.exec(bytes.toString('latin1', Math.max(0, bytes.length - 32)));
  if (!end) return damaged(file, bytes.length === 0 ? 'it is empty' : 'its end is missing', wayOut);
  const content = bytes.subarray(0, bytes.length - end[0].length);
  if (crc32(content) !== parseInt(end[1] ?? '', 16))
    return damaged(file, 'its checksum does not match', wayOut);
  // its checksum says that it is what we wrote
  const { seq, monitoring, workers, answers } = JSON.parse(bytes.toString()) as Content;
  image.monitoring = monitoring;
  image.apply(workers.map((row) => ({ type: 'worker', ...row })));
  image.apply(answers.map((answer) => ({ type: 'answer', answer })));
  return ok({ image, seq });
}
