import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { isGone } from '../util/os/dir-walk.js';
import { errorText, files, syncDir, writeFileAtomic } from '../util/os/durable.js';
import { fileNameFor } from './file-name.js';
import { speaksOf, type DigestedFile } from './spares/spare.js';

/** That a person wants a checkpoint kept: by its content, since the next save may take over its name. */
export interface Pin {
  readonly schemaVersion: 1;
  /** What it was called when it was pinned. */
  readonly id: string;
  readonly files: readonly DigestedFile[];
}

/**
 * The pins in a vault, one file each. Read anew at each look and written whole, so that anybody may pin while a
 * supervisor is at work.
 */
export class Pins {
  readonly #dir: string | undefined;
  readonly #notice: (text: string) => void;
  readonly #said = new Set<string>();

  /** @param vault undefined: there is none, and nothing is pinned */
  constructor(vault: string | undefined, notice: (text: string) => void) {
    this.#dir = vault === undefined ? undefined : path.join(vault, 'pins');
    this.#notice = notice;
  }

  /** Whether every pin could be read: of what the others pin nobody knows, and it must not go. */
  async areKnown(): Promise<boolean> {
    return (await this.#read()).unread === 0;
  }

  async all(): Promise<readonly Pin[]> {
    return (await this.#read()).pins.map(({ pin }) => pin);
  }

  /** @throws the system's error; without a vault nothing can be pinned, which is a bug of the caller */
  async add(id: string, content: readonly DigestedFile[]): Promise<void> {
    if (this.#dir === undefined) throw new Error(`${id} cannot be pinned: there is no vault`);
    const pin: Pin = { schemaVersion: 1, id, files: content };
    await files.mkdir(this.#dir, { recursive: true, mode: 0o700 });
    const text = JSON.stringify(pin);
    const short = createHash('sha256').update(text).digest('hex').slice(0, 8);
    await writeFileAtomic(path.join(this.#dir, `${fileNameFor(id)}.${short}.json`), text);
  }

  /** @throws the system's error */
  async remove(content: readonly DigestedFile[]): Promise<void> {
    const gone = (await this.#read()).pins.filter(({ pin }) => speaksOf(pin.files, content));
    for (const { file } of gone) await files.unlink(file);
    if (this.#dir !== undefined && gone.length > 0) await syncDir(this.#dir);
  }

  async #read(): Promise<{ readonly pins: readonly { pin: Pin; file: string }[]; readonly unread: number }> {
    const dir = this.#dir;
    const pins: { pin: Pin; file: string }[] = [];
    let unread = 0;
    for (const name of dir === undefined ? [] : await namesIn(dir)) {
      const file = path.join(dir ?? '', name);
      let why: string | undefined;
      try {
        const value: unknown = JSON.parse(await fs.readFile(file, 'utf8'));
        if (isPin(value)) pins.push({ pin: value, file });
        else why = 'is no pin of this version of trainguard';
      } catch (error) {
        if (!isGone(error)) why = `cannot be read (${errorText(error)})`;
      }
      if (why === undefined) continue;
      unread++;
      this.#say(`${file} ${why}: as nobody knows what it pins, nothing is removed; repair it or delete it`);
    }
    return { pins, unread };
  }

  #say(text: string): void {
    if (!this.#said.has(text)) this.#notice(text);
    this.#said.add(text);
  }
}

export const isPinned = (pins: readonly Pin[], content: readonly DigestedFile[]): boolean =>
  pins.some((pin) => speaksOf(pin.files, content));

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return (await fs.readdir(dir)).filter((name) => !name.startsWith('.'));
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function isPin(value: unknown): value is Pin {
  if (typeof value !== 'object' || value === null) return false;
  const { schemaVersion, id, files: list } = value as Record<string, unknown>;
  return schemaVersion === 1 && typeof id === 'string' && Array.isArray(list);
}
