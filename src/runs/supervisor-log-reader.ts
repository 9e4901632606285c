import fs from 'node:fs/promises';
import { errorCode } from '../util/os/durable.js';

/** What of a line of supervisor.log is shown to people. */
export interface SupervisorLogEntry {
  readonly time: string;
  readonly message: string;
  readonly tone?: string;
  /** It is one of the closing lines. */
  readonly summary?: boolean;
}

/** Reads what is added to supervisor.log, across its rotation. */
export class SupervisorLogReader {
  readonly #file: string;
  #handle: fs.FileHandle | undefined;
  #inode = 0;
  #offset: number;
  /** The beginning of a line that is not whole yet. */
  #begun = Buffer.alloc(0);

  private constructor(file: string, offset: number) {
    this.#file = file;
    this.#offset = offset;
  }

  /** From its present end on. */
  static async open(file: string): Promise<SupervisorLogReader> {
    const there = await stat(file);
    return new SupervisorLogReader(file, there?.size ?? 0);
  }

  /** The entries since the last call; what is no entry is passed over. */
  async read(): Promise<readonly SupervisorLogEntry[]> {
    const entries: SupervisorLogEntry[] = [];
    for (;;) {
      if (!this.#handle && !(await this.#open())) return entries;
      entries.push(...(await this.#readOn()));
      const now = await stat(this.#file);
      if (now === undefined || now.ino === this.#inode) return entries;
      // it became supervisor.log.1, whose last lines may have come between the two looks
      entries.push(...(await this.#readOn()));
      await this.close();
      this.#offset = 0;
    }
  }

  async close(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
  }

  async #open(): Promise<boolean> {
    try {
      this.#handle = await fs.open(this.#file, 'r');
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error;
      return false;
    }
    this.#inode = (await this.#handle.stat()).ino;
    return true;
  }

  async #readOn(): Promise<readonly SupervisorLogEntry[]> {
    if (!this.#handle) return [];
    const entries: SupervisorLogEntry[] = [];
    const buffer = Buffer.allocUnsafe(64 * 1024);
    for (;;) {
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, this.#offset);
      if (bytesRead === 0) return entries;
      this.#offset += bytesRead;
      const text = Buffer.concat([this.#begun, buffer.subarray(0, bytesRead)]);
      const end = text.lastIndexOf('\n') + 1;
      this.#begun = text.subarray(end);
      for (const line of text.subarray(0, end).toString().split('\n')) entries.push(...parse(line));
    }
  }
}

function parse(line: string): SupervisorLogEntry[] {
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry !== 'object' || entry === null) return [];
    const { time, message } = entry as Partial<SupervisorLogEntry>;
    return typeof time === 'string' && typeof message === 'string' ? [entry as SupervisorLogEntry] : [];
  } catch (error) {
    if (error instanceof SyntaxError) return []; // an empty line, or one that a full disk has cut
    throw error;
  }
}

async function stat(file: string): Promise<{ readonly size: number; readonly ino: number } | undefined> {
  try {
    return await fs.stat(file);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
