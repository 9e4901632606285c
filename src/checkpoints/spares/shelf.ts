import fs from 'node:fs/promises';
import path from 'node:path';
import { isGone, walkDir, type Stamp } from '../../util/os/dir-walk.js';
import { errorText } from '../../util/os/durable.js';
import { inVault } from '../vault.js';
import type { HeldSpare, Spare } from './spare.js';

const bounds = { maxFiles: 100_000, maxDepth: 20 };

/** Where a spare's files lie, below its own folder. */
export const filesFolder = 'files';
/** What a spare is; without it the folder is none. */
export const recordName = 'spare.json';

/** The spares of one vault, as they are on disk. */
export class Shelf {
  readonly vault: string | undefined;
  readonly #dir: string | undefined;
  readonly #notice: (text: string) => void;
  /** By folder name: a record never changes. */
  readonly #records = new Map<string, Spare>();
  readonly #damaged = new Set<string>();

  constructor(vault: string | undefined, notice: (text: string) => void) {
    this.vault = vault;
    this.#dir = vault === undefined ? undefined : path.join(vault, inVault.spares);
    this.#notice = notice;
  }

  /** Oldest first. */
  async list(): Promise<readonly Spare[]> {
    const names = await this.#names();
    for (const name of this.#records.keys()) if (!names.includes(name)) this.#records.delete(name);
    for (const name of names) if (!this.#records.has(name)) await this.#read(name);
    return [...this.#records.values()].sort((a, b) => a.takenAt - b.takenAt || (a.id < b.id ? -1 : 1));
  }

  /** With what lies there of it, unless that is known already. */
  async held(spare: Spare, known?: readonly Stamp[]): Promise<HeldSpare> {
    const root = path.join(this.folderOf(spare), filesFolder);
    return { spare, root, present: known ?? (await walkDir(root, '', bounds)).files };
  }

  async get(id: string): Promise<HeldSpare | undefined> {
    const spare = (await this.list()).find((one) => one.id === id);
    return spare && this.held(spare);
  }

  /** Absolute; what is removed to drop it. */
  folderOf(spare: Spare): string {
    const name = [...this.#records].find(([, one]) => one.id === spare.id)?.[0];
    if (this.#dir === undefined || name === undefined) throw new Error(`${spare.id} is not in the vault`);
    return path.join(this.#dir, name);
  }

  async #names(): Promise<readonly string[]> {
    if (this.#dir === undefined) return [];
    try {
      return (await fs.readdir(this.#dir)).filter((name) => !name.startsWith('.'));
    } catch (error) {
      if (isGone(error)) return [];
      throw error;
    }
  }

  async #read(name: string): Promise<void> {
    const file = path.join(this.#dir ?? '', name, recordName);
    try {
      const value: unknown = JSON.parse(await fs.readFile(file, 'utf8'));
      if (isSpare(value)) {
        this.#records.set(name, value);
        return;
      }
      this.#sayOnce(name, `${file} is no record of a spare of this version of trainguard: it is left alone`);
    } catch (error) {
      if (isGone(error)) return;
      this.#sayOnce(name, `${file} cannot be read (${errorText(error)}): the spare is left alone`);
    }
  }

  #sayOnce(name: string, text: string): void {
    if (this.#damaged.has(name)) return;
    this.#damaged.add(name);
    this.#notice(text);
  }
}

/** Paths stay below the folder that they are relative to: a record cannot make us write elsewhere. */
function isSpare(value: unknown): value is Spare {
  if (typeof value !== 'object' || value === null) return false;
  const { schemaVersion, id, of, how, members, files, folders, runId, takenAt } = value as Record<
    string,
    unknown
  >;
  return (
    schemaVersion === 1 &&
    typeof id === 'string' &&
    isInside(of) &&
    (how === 'copy' || how === 'links') &&
    Array.isArray(members) &&
    members.length > 0 &&
    members.every((name) => isInside(name) && !name.includes('/')) &&
    Array.isArray(files) &&
    files.length > 0 &&
    files.every(isFile) &&
    Array.isArray(folders) &&
    folders.every(isInside) &&
    typeof runId === 'string' &&
    typeof takenAt === 'number'
  );
}

function isFile(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { path: name, size, mtimeNs, inode } = value as Record<string, unknown>;
  return (
    isInside(name) &&
    typeof size === 'number' &&
    typeof mtimeNs === 'string' &&
    /^-?\d+$/.test(mtimeNs) &&
    typeof inode === 'string'
  );
}

const isInside = (name: unknown): name is string =>
  typeof name === 'string' &&
  name !== '' &&
  !path.isAbsolute(name) &&
  !name.split('/').some((part) => part === '..' || part === '.' || part === '');
