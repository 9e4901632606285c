import { constants, openSync, write as writeAsync, writeSync } from 'node:fs';
import tty from 'node:tty';
import { errorCode } from './durable.js';

/** Writes to a terminal without ever waiting for it. */
export interface TerminalWriter {
  /** Settles when the terminal has taken all of it; rejects when the terminal is gone (EIO). */
  write(chunk: string | Uint8Array): Promise<void>;
}

/** How often a terminal that stands still (Ctrl-S) is tried again, ms. */
const retryMs = 20;

/**
 * Node writes to a terminal synchronously: one that stands still would stop the supervisor with it. So the terminal is
 * opened once more, non-blocking, which leaves the descriptor that others share as it is.
 * @returns undefined where `fd` is no terminal, or cannot be opened again
 */
export function openTerminalWriter(fd: number): TerminalWriter | undefined {
  if (!tty.isatty(fd)) return undefined;
  let own: number;
  try {
    own = openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined; // no /proc (macOS), or a terminal of another user's: node's own way must do
  }
  let last: Promise<void> = Promise.resolve();
  let waiting = 0;
  return {
    write(chunk) {
      let bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
      if (waiting === 0) {
        // at once, so that what is written to two streams of one terminal keeps its order
        const taken = tryWrite(own, bytes);
        if (taken instanceof Error) return Promise.reject(taken);
        if (taken === bytes.length) return Promise.resolve();
        bytes = bytes.subarray(taken);
      }
      waiting++;
      last = last
        .catch(() => undefined)
        .then(() => writeAll(own, bytes))
        .finally(() => waiting--);
      return last;
    },
  };
}

function tryWrite(fd: number, bytes: Uint8Array): number | Error {
  try {
    return writeSync(fd, bytes);
  } catch (error) {
    if (errorCode(error) === 'EAGAIN') return 0;
    return error as Error;
  }
}

async function writeAll(fd: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const taken = await new Promise<number>((resolve, reject) => {
      writeAsync(fd, bytes, done, bytes.length - done, null, (error, written) => {
        if (error === null) resolve(written);
        else if (errorCode(error) === 'EAGAIN') resolve(0);
        else reject(error);
      });
    });
    done += taken;
    if (taken === 0) await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}
