import type { Exit } from '../../failure/types.js';
import type { Clock } from '../../supervisor/ports.js';
import { readLiving, readProcess } from '../../util/os/proc.js';
import { sendSignal, signalName } from '../../util/os/signals.js';
import { readStatus, type MainRecord } from './launch-record.js';
import { hasMarker } from './ours.js';
import type { SpawnedExit } from './spawn.js';
import { createWaker } from './waker.js';

export interface MainWatchOptions {
  readonly attemptDir: string;
  readonly main: MainRecord;
  /** The variable that marks the run's processes. */
  readonly marker: string;
  /** Settles when the shim has ended, with how, if it is our child. */
  readonly shimExited: Promise<SpawnedExit> | Promise<void>;
  readonly clock: Pick<Clock, 'after'>;
}

/**
 * Waits for the main process to end. The shim's end tells it at once, with the status in `exit` and as its own. If somebody killed
 * the shim alone the attempt goes on: the main process is looked at until it is gone, and how it ended stays unknown.
 */
export async function watchMain({
  attemptDir,
  main,
  marker,
  shimExited,
  clock,
}: MainWatchOptions): Promise<Exit> {
  const waker = createWaker(clock);
  const shim: { gone: boolean; code?: number } = { gone: false };
  void shimExited.then((exit) => {
    shim.gone = true;
    if (exit?.type === 'ended' && exit.code !== undefined) shim.code = exit.code;
    waker.wake();
  });
  for (let looks = 0; !shim.gone;) {
    await waker.wait(lookMs);
    // the shim ends a millisecond after its child, unless somebody stopped it (state T)
    looks = readLiving(main) ? 0 : looks + 1;
    if (looks >= 2) freeShim(main, marker, looks);
  }
  while (readStatus(attemptDir) === undefined && readLiving(main)) await waker.wait(orphanPollMs);
  // where the file is gone with its folder, the shim's own status says the same
  return exitOf(readStatus(attemptDir) ?? shim.code);
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

/** After a power cut, or a folder that was copied, its number may be a stranger's. */
function freeShim(main: MainRecord, marker: string, looks: number): void {
  const shim = readProcess(main.session);
  if (!shim || shim.session !== shim.pid || shim.startTime > main.startTime) return;
  if (hasMarker(shim.pid, marker)) sendSignal(shim, looks < 5 ? 'SIGCONT' : 'SIGKILL');
}
