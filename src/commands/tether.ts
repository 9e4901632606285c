import { closeSync, fstatSync, writeSync } from 'node:fs';
import type { Line } from '../report/narrate.js';
import { errorCode } from '../util/os/durable.js';
import { setOpenFiles } from '../util/os/open-files.js';
import type { Problem } from '../util/result.js';
import type { Output } from './output.js';

/** The descriptor on which a detached supervisor tells its starter how it begins, a JSON object a line. */
export const tetherFd = 3;

/** A run that goes on without the terminal. */
export interface Underway {
  readonly run: string;
  readonly pid: number;
  readonly state: string;
  readonly attempt: number;
}

/** `lines` are for the terminal; any other is the last word. */
export type TetherWord =
  | { readonly type: 'lines'; readonly lines: readonly Line[] }
  | { readonly type: 'refused'; readonly problem: Problem }
  | { readonly type: 'underway'; readonly underway: Underway }
  | { readonly type: 'over'; readonly exitCode: number; readonly summary?: unknown };

/** The detached supervisor's end. Nobody may listen any more; that changes nothing. */
export interface Tether {
  say(word: TetherWord): void;
}

/**
 * @param openFiles what `--detached` says: the soft limit of open files before Node, or `same`
 * @returns undefined if it says nothing: this is no detached supervisor
 */
export function openTether(openFiles: string | undefined): Tether | undefined {
  if (openFiles === undefined) return undefined;
  if (/^\d+$/.test(openFiles)) setOpenFiles(Number(openFiles));
  let open = isSocket(tetherFd);
  return {
    say(word) {
      if (!open) return;
      try {
        writeSync(tetherFd, `${JSON.stringify(word)}\n`);
      } catch (error) {
        if (errorCode(error) === undefined) throw error;
        open = false;
      }
      if (word.type === 'lines' && open) return;
      open = false;
      closeSync(tetherFd);
    },
  };
}

/** What a detached supervisor has in a terminal's place. */
export const tetherOutput = (tether: Tether): Output => ({
  say: (lines) => tether.say({ type: 'lines', lines }),
  json: () => undefined,
  out: () => Promise.resolve(),
  err: () => Promise.resolve(),
  detach: () => undefined,
  finish: () => Promise.resolve(true),
});

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return false;
  }
}
