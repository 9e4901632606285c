import type { StopWish } from './parts.js';
import type { Loop } from './supervise.js';

/** How often requests are looked for, ms. */
const pollEveryMs = 500;

/** Looks for requests and says what is true now, as long as the run lasts, also while it waits. */
export function pollRequests(
  loop: Loop,
  stop: (wish: StopWish) => void,
  publish: () => void,
): { cancel(): void } {
  let cancelTimer: (() => void) | undefined;
  let over = false;
  const again = (): void => {
    if (!over) cancelTimer = loop.parts.clock.after(pollEveryMs, tick);
  };
  const tick = (): void => {
    loop.parts.takeStopRequest().then(
      (wish) => {
        if (wish) stop(wish);
        publish();
        again();
      },
      (error: unknown) => {
        loop.parts.notice(`requests could not be read: ${String(error)}`);
        again();
      },
    );
  };
  again();
  return {
    cancel() {
      over = true;
      cancelTimer?.();
    },
  };
}
