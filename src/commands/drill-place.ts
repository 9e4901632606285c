import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { errorCode, errorText, files } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';

/** How the training is made to save in a scratch folder instead of its own. */
export type Redirection =
  /** These words of the command name the folder, or one above it: they are replaced. */
  | { readonly type: 'words'; readonly named: string; readonly at: readonly number[] }
  /** The script has the folder by heart, below the working directory: it works in a copy of that. */
  | { readonly type: 'cwd' };

/** Where a drill takes place. */
export interface DrillPlace {
  /** Everything that the drill makes lies below it. */
  readonly root: string;
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  readonly checkpointDir: string;
  /** Removes all of it. */
  remove(): Promise<void>;
}

/** Smaller files of the working directory are copied, so that a training that writes over them leaves the real ones alone, bytes. */
const smallFile = 16 * 1024 * 1024;

/** Decides how the training is kept away from its own checkpoint folder. Pure. */
export function redirect(argv: readonly string[], cwd: string, dir: string): Result<Redirection> {
  let named: string | undefined;
  let at: number[] = [];
  for (const index of argv.keys()) {
    const place = placeIn(argv, index);
    if (index === 0 || place === undefined) continue;
    const folder = path.resolve(cwd, place.value);
    // a flag may name a folder above it (`--output_dir out` for out/checkpoints), but not the one we work in
    const isIt =
      folder === dir || (place.byFlag && isBelow(folder, dir) && !isBelow(folder, cwd) && folder !== cwd);
    if (!isIt || (named !== undefined && folder.length < named.length)) continue;
    at = folder === named ? [...at, index] : [index];
    named = folder;
  }
  if (named !== undefined) return ok({ type: 'words', named, at });
  if (isBelow(cwd, dir)) return ok({ type: 'cwd' });
  return fail(
    `the command does not name its checkpoint folder ${dir}, and that is not below the working directory, so a drill would train into the real one; ` +
      'give the script a flag for it, or start the drill from a folder above it',
    exitStatus.config,
  );
}

/** The value that a word may hold a path in: the word itself, or what stands behind `=`. */
function placeIn(argv: readonly string[], index: number): { value: string; byFlag: boolean } | undefined {
  const word = argv[index] ?? '';
  const attached = /^(?:--?)?[A-Za-z][\w.-]*=(.+)$/s.exec(word)?.[1];
  if (attached !== undefined) return { value: attached, byFlag: true };
  if (word.startsWith('-') || word === '') return undefined;
  return { value: word, byFlag: (argv[index - 1] ?? '').startsWith('-') };
}

const isBelow = (above: string, dir: string): boolean =>
  dir.startsWith(above === path.sep ? above : above + path.sep);

/** Makes the scratch folder: beside the real one, or where that cannot be written in the folder for temporary files. */
export async function makePlace(
  argv: readonly [string, ...string[]],
  cwd: string,
  dir: string,
): Promise<Result<DrillPlace>> {
  const how = redirect(argv, cwd, dir);
  if (!how.ok) return how;
  const beside = path.dirname(how.value.type === 'cwd' ? cwd : how.value.named);
  let root: string | undefined;
  try {
    root = await makeRoot(beside);
    const remove = removal(root);
    if (how.value.type === 'words') {
      const { named, at } = how.value;
      const scratch = path.join(root, path.basename(named));
      const checkpointDir = path.join(scratch, path.relative(named, dir));
      await files.mkdir(checkpointDir, { recursive: true });
      const words = argv.map((word, index) => {
        const place = at.includes(index) ? placeIn(argv, index) : undefined;
        return place ? word.slice(0, word.length - place.value.length) + scratch : word;
      });
      return ok({ root, argv: [argv[0], ...words.slice(1)], cwd, checkpointDir, remove });
    }
    const scratch = path.join(root, path.basename(cwd) || 'cwd');
    await shadow(cwd, scratch, path.relative(cwd, dir).split(path.sep));
    return ok({
      root,
      argv,
      cwd: scratch,
      checkpointDir: path.join(scratch, path.relative(cwd, dir)),
      remove,
    });
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    if (root !== undefined) await removal(root)();
    return fail(`the scratch folder for the drill cannot be made (${errorText(error)})`, exitStatus.config);
  }
}

async function makeRoot(beside: string): Promise<string> {
  const name = `.trainguard-drill-${randomBytes(6).toString('hex')}`;
  for (const parent of [beside, os.tmpdir()]) {
    try {
      const root = path.join(parent, name);
      await files.mkdir(root, { mode: 0o700 });
      return root;
    } catch (error) {
      if (errorCode(error) === undefined || parent === os.tmpdir()) throw error;
    }
  }
  throw new Error('no folder for temporary files');
}

const removal = (root: string) => (): Promise<void> =>
  files.rm(root, { recursive: true, force: true, maxRetries: 5 });

/** A folder like `real`, but with an empty one at the end of `chain`: links to its folders, copies of its small files. */
async function shadow(real: string, scratch: string, chain: readonly string[]): Promise<void> {
  await files.mkdir(scratch, { recursive: true });
  const [own, ...rest] = chain;
  if (own === undefined) return;
  await shadow(path.join(real, own), path.join(scratch, own), rest);
  for (const entry of await entriesOf(real)) {
    if (entry.name === own || entry.name.startsWith('.trainguard-drill-')) continue;
    const [from, to] = [path.join(real, entry.name), path.join(scratch, entry.name)];
    const small = entry.isFile() && (await fs.stat(from)).size <= smallFile;
    if (small) await fs.copyFile(from, to, constants.COPYFILE_FICLONE);
    else await files.symlink(from, to);
  }
}

async function entriesOf(dir: string): ReturnType<typeof readEntries> {
  try {
    return await readEntries(dir);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

const readEntries = (dir: string) => fs.readdir(dir, { withFileTypes: true });
