import path from 'node:path';
import { Pins } from '../checkpoints/pins.js';
import { Scanner } from '../checkpoints/scan.js';
import { Manifests } from '../checkpoints/manifest.js';
import { Shelf } from '../checkpoints/spares/shelf.js';
import type { DigestedFile } from '../checkpoints/spares/spare.js';
import { sameFiles } from '../checkpoints/unit.js';
import { findVault, inVault } from '../checkpoints/vault.js';
import { errorCode, errorText } from '../util/os/durable.js';
import { exitStatus, fail, ok, type Result } from '../util/result.js';
import { nearest, printable } from '../util/text.js';
import { openForVerb, sayNotice } from './checkpoints-open.js';
import { type CheckpointPlace, placeOf, type PlaceOptions } from './checkpoints-place.js';
import { refuse } from './refuse.js';

export interface PinOptions extends PlaceOptions {
  readonly run?: string;
  readonly dryRun?: true;
}

/**
 * `trainguard checkpoints pin|unpin`: says which checkpoints retention never takes. Also while a run is active: its
 * supervisor reads the pins anew at each look.
 */
export async function pinCheckpoints(
  ids: readonly string[],
  on: boolean,
  options: PinOptions,
): Promise<number> {
  const json = options.json === true;
  const place = await placeOf(options.run, options);
  if (!place.ok) return refuse(place.error, json);
  const { dirs, active } = place.value;
  const known = await contentIn(dirs, place.value);
  if (!known.ok) return refuse(known.error, json);
  const chosen: Known[] = [];
  for (const id of ids) {
    const found = known.value.filter((one) => one.id === id);
    if (found.length === 0) return refuse(unknownId(id, known.value, dirs), json);
    chosen.push(...found);
  }
  if (!options.dryRun) {
    const done = active ? await writePins(chosen, on) : await pinAlone(chosen, on, place.value, options);
    if (!done.ok) return refuse(done.error, json);
  }
  const what = on ? 'pinned' : 'unpinned';
  if (json) {
    process.stdout.write(
      `${JSON.stringify({ schemaVersion: 1, [what]: chosen.map(({ id, dir }) => ({ id, dir })), dryRun: options.dryRun ?? false })}\n`,
    );
  } else if (!options.quiet) {
    for (const { id } of chosen) process.stdout.write(`${options.dryRun ? `would be ${what}` : what}: ${printable(id)}\n`); // prettier-ignore
  }
  return exitStatus.done;
}

interface Known {
  readonly id: string;
  readonly dir: string;
  readonly vault: string | undefined;
  readonly files: readonly DigestedFile[];
}

/** The checkpoints of the folders, and what their vaults keep. */
async function contentIn(dirs: readonly string[], place: CheckpointPlace): Promise<Result<readonly Known[]>> {
  const known: Known[] = [];
  for (const dir of dirs) {
    try {
      const { units } = await new Scanner(dir, place.layout).scan(() => false);
      const named = place.vault === undefined ? {} : { named: place.vault };
      const vault = await findVault({ dir, bearsDotName: true, ...named });
      const manifests = new Manifests(vault && path.join(vault, inVault.manifests), sayNotice);
      for (const { id, files } of units) {
        const manifest = await manifests.get(id);
        known.push({
          id,
          dir,
          vault,
          files: manifest && sameFiles(manifest.files, files) ? manifest.files : files,
        });
      }
      for (const { id, files } of await new Shelf(vault, sayNotice).list())
        known.push({ id, dir, vault, files });
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      return fail(`the checkpoint folder ${dir} cannot be read: ${errorText(error)}`, exitStatus.usage);
    }
  }
  return ok(known);
}

function unknownId(
  id: string,
  known: readonly Known[],
  dirs: readonly string[],
): { message: string; exit: number } {
  const near = nearest(id, known.map((one) => one.id)); // prettier-ignore
  const hint = near === undefined ? '"trainguard checkpoints list" shows those there are' : `did you mean ${JSON.stringify(near)}?`; // prettier-ignore
  return { message: `there is no checkpoint ${JSON.stringify(id)} in ${dirs.join(', ')}; ${hint}`, exit: exitStatus.usage }; // prettier-ignore
}

/** Beside a supervisor, which takes the spares that a pin needs when it looks next. */
async function writePins(chosen: readonly Known[], on: boolean): Promise<Result<void>> {
  for (const { id, vault, files } of chosen) {
    try {
      const pins = new Pins(vault, sayNotice);
      if (on && vault !== undefined)
        await pins.add(id, files.map(({ path: name, size, mtimeNs, inode, digest }) => ({ path: name, size, mtimeNs, inode, ...(digest !== undefined && { digest }) }))); // prettier-ignore
      else await pins.remove(files);
    } catch (error) {
      const code = errorCode(error);
      if (code === undefined) throw error;
      return fail(`${JSON.stringify(id)} could not be ${on ? 'pinned' : 'unpinned'}: ${errorText(error)}`, exitStatus.internal, code); // prettier-ignore
    }
  }
  return ok(undefined);
}

/** With the folder in our hands: what is pinned has a spare at once. */
async function pinAlone(
  chosen: readonly Known[],
  on: boolean,
  place: CheckpointPlace,
  options: PinOptions,
): Promise<Result<void>> {
  for (const dir of place.dirs) {
    const ids = chosen.filter((one) => one.dir === dir).map((one) => one.id);
    if (ids.length === 0) continue;
    const opened = await openForVerb(dir, place, options, false);
    if (!opened.ok) return opened;
    try {
      for (const id of ids) {
        const done = await opened.value.store.pin(id, on);
        if (!done.ok) return done;
      }
    } finally {
      await opened.value.close();
    }
  }
  return ok(undefined);
}
