import type { Clock } from '../../supervisor/ports.js';

/** Lets one loop sleep until its next deadline, or until something happened that it should look at. */
export interface Waker {
  wake(): void;
  /** Settles at the next `wake`, or after `ms` (Infinity: only then). */
  wait(ms: number): Promise<void>;
}

export function createWaker(clock: Pick<Clock, 'after'>): Waker {
  let wakeUp: () => void = () => undefined;
  return {
    wake: () => wakeUp(),
    wait: (ms) =>
      new Promise((resolve) => {
        // longer than a timer can count: the loop simply looks once more then
        const cancel =
          ms === Infinity ? undefined : clock.after(Math.min(Math.max(0, ms), 2 ** 31 - 1), () => wakeUp());
        wakeUp = () => {
          cancel?.();
          resolve();
        };
      }),
  };
}
