import fs from 'node:fs/promises';
import path from 'node:path';
import { errorCode, files, syncDir } from '../../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../../util/result.js';
import { outside, printOf, type Put } from './intent.js';
import { Maker } from './maker.js';
import { bytesToCopy, type Piece } from './piece.js';
import { liveOf, stageFolder, stageOf, stampAt, type RollbackPlace } from './place.js';

export type OnProgress = (done: { readonly bytes: number; readonly of: number }) => void;

/**
 * Makes everything that a rollback will put, whole and durable, beside the folder: nothing is changed yet.
 * @returns the puts, or the sentence why a kept copy is no longer what was verified
 * @throws the system's error: what was made is then to be dropped
 */
export async function stage(
  place: RollbackPlace,
  tx: string,
  pieces: readonly Piece[],
  onProgress: OnProgress = () => undefined,
): Promise<Result<readonly Put[]>> {
  const own = stageOf(place.vault, tx);
  await files.mkdir(own, { recursive: true, mode: 0o700 });
  if (pieces.some((piece) => piece.path !== undefined))
    await files.mkdir(path.join(own, outside), { mode: 0o700 });
  const maker = new Maker(place, own, meterOf(pieces, onProgress));
  const puts: Put[] = [];
  for (const one of pieces) {
    const damage = await maker.make(one);
    const { source: _, ...piece } = one;
    if (damage !== undefined)
      return fail(`the copy of ${piece.id} in the vault is damaged: ${damage}`, exitStatus.failed);
    const [staged, old] = await Promise.all([
      stampAt(path.join(own, piece.name)),
      stampAt(liveOf(place, piece)),
    ]);
    if (!staged) throw new Error(`${piece.name} was staged and is not there`);
    const from = path.join(stageFolder, tx, piece.name);
    puts.push({ ...piece, from, staged: printOf(staged), ...(old && { old: printOf(old) }) });
  }
  if (pieces.some((piece) => piece.path !== undefined)) await syncDir(path.join(own, outside));
  for (const folder of [own, path.dirname(own), place.vault]) await syncDir(folder);
  return ok(puts);
}

function meterOf(pieces: readonly Piece[], onProgress: OnProgress): (bytes: number) => void {
  const of = pieces.reduce((sum, piece) => sum + bytesToCopy(piece), 0);
  let done = 0;
  return (bytes) => {
    done += bytes;
    if (of > 0) onProgress({ bytes: Math.min(done, of), of });
  };
}

/** Drops what was staged and not put: copies and second links only, never the one body of anything. */
export async function dropStage(vault: string, tx: string): Promise<void> {
  await files.rm(stageOf(vault, tx), { recursive: true, force: true });
}

/** The transactions that something is staged for. */
export async function stagedIn(vault: string): Promise<readonly string[]> {
  return fs.readdir(path.join(vault, stageFolder)).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  });
}
