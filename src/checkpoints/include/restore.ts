import fs from 'node:fs/promises';
import path from 'node:path';
import type { RollbackExtra } from '../../supervisor/ports.js';
import { walkDir } from '../../util/os/dir-walk.js';
import { errorCode, errorText } from '../../util/os/durable.js';
import { formatDuration } from '../../util/duration.js';
import { makeDirs } from '../../util/os/make-dirs.js';
import { isGlob, matching } from '../many/glob.js';
import { probe, whyImmovable } from '../vault.js';
import type { HeldKept, Kept } from './kept.js';
import { besideDatabase } from './sqlite.js';
import { digestOf, stampAt } from './take.js';
import { holds, touches } from './vet.js';

const bounds = { maxFiles: 100_000, maxDepth: 32 };

/** What a rollback puts back and moves away outside the checkpoint folder, and what it leaves, in words. */
export interface Aside extends RollbackExtra {
  readonly left: readonly string[];
}

/** What brings everything that was kept with a checkpoint back to how it was then. Changes nothing. */
export async function putBack({ folder, kept }: HeldKept): Promise<Aside> {
  const puts: RollbackExtra['puts'][number][] = [];
  const left: string[] = [];
  for (const file of kept.files) {
    const now = await stampAt(file.path);
    if (
      now?.size === file.size &&
      now.mtimeNs === file.mtimeNs &&
      now.inode === file.inode &&
      !isDatabase(kept, file.path)
    )
      continue;
    const from = path.join(folder, file.name);
    const seen = await digestOf(from).catch((error: unknown) => {
      if (errorCode(error) === undefined) throw error;
      return errorText(error);
    });
    if (seen === file.digest) {
      puts.push({ from, to: file.path });
      const laterMs = Number(BigInt(file.mtimeNs) / 1_000_000n) - kept.modifiedAt;
      if (laterMs >= 1000) left.push(`${file.path} goes back as it was ${formatDuration(laterMs)} after ${kept.of} was saved: no copy is nearer`); // prettier-ignore
    } else left.push(`${file.path} is left as it is: its copy in the vault is damaged`);
  }
  return { puts, moves: await newerOf(kept), left };
}

const isDatabase = (kept: Kept, file: string): boolean =>
  kept.roots.some((root) => root.kind === 'database' && root.path === file);

/** What is there now and was not then. */
async function newerOf(kept: Kept): Promise<readonly string[]> {
  const then = new Set(kept.files.map((file) => file.path));
  const moves: string[] = [];
  for (const { path: root, kind } of kept.roots) {
    if (kind === 'folder') {
      const { files, truncated } = await walkDir(root, '', bounds);
      if (!truncated) moves.push(...files.filter((file) => file.kind === 'file').map((file) => path.join(root, file.path)).filter((file) => !then.has(file))); // prettier-ignore
    }
    if (kind === 'missing') moves.push(root);
    // an index or a journal of the newer database would be played into the older one
    if (kind === 'database') moves.push(...[...besideDatabase.journals, besideDatabase.index].map((ending) => `${root}${ending}`).filter((file) => !then.has(file))); // prettier-ignore
  }
  const there: string[] = [];
  for (const file of moves) if (await stampAt(file)) there.push(file);
  return there;
}

/**
 * What `checkpoints.clean` names now.
 * @param places absolute; what is, holds or lies in one of them stays
 * @param cwd what is or holds it stays
 */
export async function toClean(
  patterns: readonly string[],
  places: readonly string[],
  cwd: string,
): Promise<Aside> {
  const moves: string[] = [];
  const left: string[] = [];
  for (const pattern of patterns) {
    const plain = (await stampAt(pattern)) ? [pattern] : [];
    const found = plain.length > 0 || !isGlob(pattern) ? plain : await matching(pattern, false);
    for (const one of found) {
      // a link on the way may lead into the checkpoint folder
      const real = path.join(await fs.realpath(path.dirname(one)), path.basename(one));
      const kept = [one, real].some((way) => holds(way, cwd)) ? cwd : places.find((place) => touches(one, place) || touches(real, place)); // prettier-ignore
      if (kept === undefined) moves.push(one);
      else left.push(`${one} is matched by checkpoints.clean, but ${kept} lies there: it stays`);
    }
  }
  return { puts: [], moves: [...new Set(moves)], left };
}

/**
 * Leaves out what a rename into or out of the vault does not reach: it would stop the rollback half-way. Folders that
 * something is put back into are made.
 */
export async function reachable(vault: string, { puts, moves, left }: Aside): Promise<Aside> {
  const known = new Map<string, string | undefined>();
  const why = async (file: string, make: boolean): Promise<string | undefined> => {
    const dir = path.dirname(file);
    if (!known.has(dir)) known.set(dir, await barrier(dir, vault, make));
    return known.get(dir) ?? (await whyImmovable(file, vault));
  };
  const kept: Aside & { puts: RollbackExtra['puts'][number][]; moves: string[]; left: string[] } = {
    puts: [],
    moves: [],
    left: [...left],
  };
  for (const put of puts) {
    const reason = await why(put.to, true);
    if (reason === undefined) kept.puts.push(put);
    else kept.left.push(`${put.to} is left as it is: ${reason}`);
  }
  for (const move of moves) {
    const reason = await why(move, false);
    if (reason === undefined) kept.moves.push(move);
    else kept.left.push(`${move} is left as it is: ${reason}`);
  }
  return kept;
}

async function barrier(dir: string, vault: string, make: boolean): Promise<string | undefined> {
  try {
    if (make) await makeDirs(dir);
    await probe(dir, vault);
    return undefined;
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    return code === 'EXDEV' ? 'it is on another file system than the vault' : errorText(error);
  }
}
