import { setTimeout as sleep } from 'node:timers/promises';

/** Waits after so many bytes were read, if they came too fast. */
export type Pace = (bytes: number) => Promise<void>;

/**
 * Keeps reading at a rate on average, so that a shared file system has something left for the training.
 * @param bytesPerS undefined: as fast as it goes
 */
export function paceOf(bytesPerS: number | undefined): Pace {
  if (bytesPerS === undefined) return () => Promise.resolve();
  const startedMs = performance.now();
  let done = 0;
  return async (bytes) => {
    done += bytes;
    const aheadMs = (done / bytesPerS) * 1000 - (performance.now() - startedMs);
    if (aheadMs >= 1) await sleep(aheadMs);
  };
}
