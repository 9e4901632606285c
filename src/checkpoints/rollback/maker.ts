import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import type { Stamp } from '../../util/os/dir-walk.js';
import { files, syncDir, writeFully } from '../../util/os/durable.js';
import type { DigestedFile, HeldSpare } from '../spares/spare.js';
import { sameStat } from '../unit.js';
import { liveOf, stampAt, type RollbackPlace } from './place.js';
import { partOf, type Piece, type SpareSource } from './piece.js';

/** One after the other they take a multiple of the time. */
const atOnce = 64;

/** Makes the pieces of one rollback in its stage. Each answers what is wrong with what it was to be made of. */
export class Maker {
  readonly #place: RollbackPlace;
  readonly #stage: string;
  readonly #meter: (bytes: number) => void;
  /** By path, what lies of a spare in the vault. */
  readonly #present = new WeakMap<HeldSpare, ReadonlyMap<string, Stamp>>();

  /** @param meter called with how many more bytes were copied */
  constructor(place: RollbackPlace, stage: string, meter: (bytes: number) => void) {
    this.#place = place;
    this.#stage = stage;
    this.#meter = meter;
  }

  /** @throws the system's error */
  async make(piece: Piece): Promise<string | undefined> {
    const { source } = piece;
    const to = path.join(this.#stage, piece.name);
    if ('link' in source) {
      await files.symlink(source.link, to);
      return undefined;
    }
    if ('text' in source) {
      await write(to, source.text, await this.#modeFor(piece));
      return undefined;
    }
    if ('spare' in source) return this.#unpack(source, await this.#modeFor(piece));
    const from = 'file' in source ? source.file : await this.#current(source.copyOf);
    const { mode, mtimeMs } = await fs.stat(from);
    const as = { mtimeS: mtimeMs / 1000, mode: 'file' in source ? await this.#modeFor(piece) : mode };
    return this.#copy(from, to, 'file' in source ? { ...as, ...source } : as);
  }

  /** What is staged comes before what lies in the folder: a second name for what this rollback puts back. */
  async #current(name: string): Promise<string> {
    const staged = path.join(this.#stage, name);
    return (await stampAt(staged)) ? staged : path.join(this.#place.dir, name);
  }

  /** As what holds the place now, else as the folder: what lies in the vault is for nobody else's eyes. */
  async #modeFor(piece: Piece): Promise<number> {
    const live = liveOf(this.#place, piece);
    if ((await stampAt(live))?.kind === 'file') return (await fs.stat(live)).mode;
    return (await fs.stat(this.#place.dir)).mode & 0o666;
  }

  async #unpack(source: SpareSource, mode: number): Promise<string | undefined> {
    const { spare, root } = source.spare;
    const { files: wanted, folders } = partOf(source);
    for (const file of wanted) {
      const now = this.#presentIn(source.spare).get(file.path);
      if (!now) return `${file.path} is gone from it`;
      if (spare.how === 'links' && !sameStat(file, now)) return `${file.path} was written to since`;
    }
    for (const folder of folders) await files.mkdir(path.join(this.#stage, folder), { recursive: true });
    if (spare.how === 'links')
      await each(wanted, ({ path: name }) => files.link(path.join(root, name), path.join(this.#stage, name)));
    else {
      const damage = await this.#copies(source, mode);
      if (damage !== undefined) return damage;
    }
    // a folder's own time is what some frameworks prune by
    const newest = newestBelow(wanted);
    await each(folders, (folder) => {
      const [staged, ns] = [path.join(this.#stage, folder), newest.get(folder)];
      return ns === undefined ? syncDir(staged) : dress(staged, { mtimeS: ns / 1e9 });
    });
    return undefined;
  }

  #presentIn(held: HeldSpare): ReadonlyMap<string, Stamp> {
    const known = this.#present.get(held) ?? new Map(held.present.map((stamp) => [stamp.path, stamp]));
    this.#present.set(held, known);
    return known;
  }

  async #copies(source: SpareSource, mode: number): Promise<string | undefined> {
    for (const { path: name, mtimeNs, digest } of partOf(source).files) {
      const [from, to] = [path.join(source.spare.root, name), path.join(this.#stage, name)];
      const as = { mode, mtimeS: Number(mtimeNs) / 1e9, ...(digest !== undefined && { digest }) };
      const isLink = this.#presentIn(source.spare).get(name)?.kind === 'other';
      if (isLink) await files.symlink(await fs.readlink(from), to);
      else {
        const damage = await this.#copy(from, to, as);
        if (damage !== undefined) return damage;
      }
    }
    return undefined;
  }

  async #copy(
    from: string,
    to: string,
    as: Dress & { readonly digest?: string },
  ): Promise<string | undefined> {
    // loads the hash library, which a rollback of renames never needs
    const { Copier } = await import('../spares/copy.js');
    const { otherBytes } = await import('../verify/against.js');
    const seen = await new Copier().copy(from, to, undefined, this.#meter);
    await dress(to, as);
    const name = path.basename(from);
    return otherBytes([{ path: name, ...as }], new Map([[name, seen]]));
  }
}

/** Many at once; none is under way any more when one has failed. */
async function each<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < all.length; at += atOnce) {
    const done = await Promise.allSettled(all.slice(at, at + atOnce).map(work));
    const failed = done.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
  }
}

/** The newest time below each folder, nanoseconds since 1970. Pure. */
function newestBelow(all: readonly DigestedFile[]): ReadonlyMap<string, number> {
  const newest = new Map<string, number>();
  for (const file of all)
    for (let folder = path.dirname(file.path); folder !== '.'; folder = path.dirname(folder))
      newest.set(folder, Math.max(newest.get(folder) ?? 0, Number(file.mtimeNs)));
  return newest;
}

async function write(to: string, text: string, mode: number): Promise<void> {
  const handle = await files.open(to, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600);
  try {
    await writeFully(handle, Buffer.from(text));
    await handle.chmod(mode & 0o7777);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

interface Dress {
  /** Seconds since 1970. */
  readonly mtimeS: number;
  readonly mode?: number;
}

/** A copy has the times of what it is a copy of: frameworks prune and resume by them. */
async function dress(file: string, { mtimeS, mode }: Dress): Promise<void> {
  const handle = await files.open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    if (mode !== undefined) await handle.chmod(mode & 0o7777);
    await handle.utimes(mtimeS, mtimeS);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
