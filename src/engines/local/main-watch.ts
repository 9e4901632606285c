import type { Exit } from '../../failure/types.js';
import type { Clock } from '../../supervisor/ports.js';
import { readLiving, readProcess } from '../../util/os/proc.js';
import { sendSignal, signalName } from '../../util/os/signals.js';
import { readStatus, type MainRecord } from './launch-record.js';
import { createWaker } from './waker.js';

export interface MainWatchOptions {
  readonly attemptDir: string;
  readonly main: MainRecord;
  /** Settles when the shim has ended. */
  readonly shimExited: Promise<unknown>;
  readonly clock: Pick<Clock, 'after'>;
}

/**
 * Waits for the main process to end. The shim's end tells it at once, with the status in `exit`. If somebody killed
 * the shim alone the attempt goes on: the main process is looked at until it is gone, and how it ended stays unknown.
 */
export async function watchMain({ attemptDir, main, shimExited, clock }: MainWatchOptions): Promise<Exit> {
  const waker = createWaker(clock);
  const shim = { gone: false };
  void shimExited.then(() => {
    shim.gone = true;
    waker.wake();
  });
  for (let looks = 0; !shim.gone;) {
    await waker.wait(lookMs);
    // the shim ends a millisecond after its child, unless somebody stopped it (state T)
    looks = readLiving(main) ? 0 : looks + 1;
    if (looks >= 2) freeShim(main, looks);
  }
  while (readStatus(attemptDir) === undefined && readLiving(main)) await waker.wait(orphanPollMs);
  return exitOf(readStatus(attemptDir));
}

/** A status as a shell gives it: above 128 it names the signal that killed, if there is such a signal. */
export function exitOf(status: number | undefined): Exit {
  if (status === undefined) return { type: 'unknown' };
  const signal = status > 128 ? signalName(status - 128) : undefined;
  return signal === undefined
    ? { type: 'code', code: status }
    : { type: 'signal', signal, number: status - 128 };
}

const lookMs = 1000;
const orphanPollMs = 50;

function freeShim(main: MainRecord, looks: number): void {
  const shim = readProcess(main.session);
  if (shim && shim.startTime <= main.startTime) sendSignal(shim, looks < 5 ? 'SIGCONT' : 'SIGKILL');
}
