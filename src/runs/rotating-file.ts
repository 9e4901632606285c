import fs from 'node:fs';
import { errorText } from '../util/os/durable.js';

/**
 * Appends lines at once and keeps the file under a bound by renaming it to `<file>.1`. A line that cannot be written
 * (a full disk, a folder gone) is counted, not thrown; the next one that can be says how many are missing.
 */
export class RotatingFile {
  readonly #file: string;
  readonly #maxBytes: number;
  #fd: number | undefined;
  #size = 0;
  #lost = 0;
  #whyLost = '';
  /** A line was cut short by a full disk: the next begins a new one. */
  #cutShort = false;

  constructor(file: string, maxBytes: number) {
    this.#file = file;
    this.#maxBytes = maxBytes;
  }

  write(line: string): void {
    try {
      const notice = this.#lost > 0 ? `${JSON.stringify({ lost: this.#lost, why: this.#whyLost })}\n` : '';
      this.#append(`${this.#cutShort ? '\n' : ''}${notice}${line}`);
      this.#lost = 0;
    } catch (error) {
      this.#lost++;
      this.#whyLost = errorText(error);
      // tried anew with the next line: the folder may be back then
      this.close();
    }
  }

  close(): void {
    if (this.#fd === undefined) return;
    const fd = this.#fd;
    this.#fd = undefined;
    try {
      fs.closeSync(fd);
    } catch (error) {
      this.#whyLost = errorText(error);
    }
  }

  #append(text: string): void {
    const bytes = Buffer.from(text);
    if (this.#fd !== undefined && this.#size > 0 && this.#size + bytes.length > this.#maxBytes) {
      this.close();
      fs.renameSync(this.#file, `${this.#file}.1`);
    }
    if (this.#fd === undefined) {
      this.#fd = fs.openSync(this.#file, 'a', 0o600);
      this.#size = fs.fstatSync(this.#fd).size;
    }
    for (let done = 0; done < bytes.length;) {
      const written = fs.writeSync(this.#fd, bytes, done);
      if (written === 0) throw new Error('nothing could be written');
      done += written;
      this.#size += written;
      this.#cutShort = done < bytes.length;
    }
  }
}
