import fs from 'node:fs/promises';
import path from 'node:path';
import type { Standing } from '../policy/checkpoint.js';
import { errorText, files, writeFileAtomic } from '../util/os/durable.js';
import { isGone } from '../util/os/dir-walk.js';
import { fileNameFor } from './file-name.js';
import type { Proof } from './proof.js';
import type { FileStat } from './unit.js';

/** What is known of one checkpoint; void as soon as the stat of any of its files is another. One JSON file each. */
export interface Manifest {
  readonly schemaVersion: 1;
  readonly id: string;
  readonly standing: Standing;
  readonly why: string;
  readonly step?: number;
  /** By path relative to the checkpoint folder. */
  readonly files: readonly (FileStat & { readonly digest?: string })[];
  /** Whether every byte was read, or the structure only. */
  readonly depth: 'deep' | 'structure' | 'none';
  readonly proof: Proof;
  readonly writtenByRun?: string;
  /** Every byte was flushed to disk when it was judged. */
  readonly synced?: true;
  /** The boot of the host that it was judged on: what was not flushed by then may be gone after the next one. */
  readonly boot?: string;
  /** ms since 1970. */
  readonly judgedAt: number;
}

/** The trainer's own rotation removes checkpoints without telling us: beyond this many the oldest manifests go. */
const mostManifests = 1000;

/** The manifests in the vault; without a vault (read-only, none yet) there are none. */
export class Manifests {
  readonly #dir: string | undefined;
  readonly #notice: (text: string) => void;
  readonly #loaded = new Map<string, Manifest | undefined>();
  readonly #damaged = new Set<string>();

  constructor(dir: string | undefined, notice: (text: string) => void) {
    this.#dir = dir;
    this.#notice = notice;
  }

  async get(id: string): Promise<Manifest | undefined> {
    if (!this.#loaded.has(id)) this.#loaded.set(id, await this.#read(id));
    return this.#loaded.get(id);
  }

  /** What is in memory, without a look at the disk. */
  known(id: string): Manifest | undefined {
    return this.#loaded.get(id);
  }

  /** In memory at once; on disk when `durable`. */
  async put(manifest: Manifest, durable = true): Promise<void> {
    this.#loaded.set(manifest.id, manifest);
    if (!durable || this.#dir === undefined) return;
    const file = path.join(this.#dir, fileNameOf(manifest.id));
    if (this.#damaged.delete(manifest.id)) await files.rename(file, `${file}.damaged-${manifest.judgedAt}`);
    await writeFileAtomic(file, JSON.stringify(manifest));
  }

  /**
   * Removes the oldest beyond the bound.
   * @param needed ids whose manifests stay
   */
  async prune(needed: ReadonlySet<string>): Promise<void> {
    if (this.#dir === undefined) return;
    const names = await fs.readdir(this.#dir);
    if (names.length <= mostManifests) return;
    const dated = await Promise.all(
      names.map(async (name) => ({ name, at: (await fs.stat(path.join(this.#dir ?? '', name))).mtimeMs })),
    );
    dated.sort((a, b) => a.at - b.at);
    const stay = new Set([...needed].map(fileNameOf));
    for (const { name } of dated.slice(0, names.length - mostManifests))
      if (!stay.has(name)) await files.unlink(path.join(this.#dir, name));
  }

  async #read(id: string): Promise<Manifest | undefined> {
    if (this.#dir === undefined) return undefined;
    const file = path.join(this.#dir, fileNameOf(id));
    try {
      const value: unknown = JSON.parse(await fs.readFile(file, 'utf8'));
      if (isManifest(value) && value.id === id) return value;
      this.#notice(`${file} is no manifest of this version of trainguard: the checkpoint is judged anew`);
    } catch (error) {
      if (isGone(error)) return undefined;
      this.#notice(`${file} cannot be read (${errorText(error)}): the checkpoint is judged anew`);
    }
    this.#damaged.add(id);
    return undefined;
  }
}

const fileNameOf = (id: string): string => `${fileNameFor(id)}.json`;

const standings: Readonly<Record<Standing, true>> = {
  partial: true, complete: true, verified: true, safe: true, tainted: true, suspect: true, corrupt: true,
}; // prettier-ignore

function isManifest(value: unknown): value is Manifest {
  if (typeof value !== 'object' || value === null) return false;
  const { schemaVersion, id, standing, files: list, proof } = value as Record<string, unknown>;
  return (
    schemaVersion === 1 &&
    typeof id === 'string' &&
    typeof standing === 'string' &&
    Object.hasOwn(standings, standing) &&
    Array.isArray(list) &&
    typeof proof === 'object' &&
    proof !== null
  );
}
