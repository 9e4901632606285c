import type { RecoveryClock } from './ports.js';

/** This host's time. */
export const realClock: RecoveryClock = {
  now: Date.now,
  mono: () => performance.now(),
  after(ms, call) {
    let immediate: NodeJS.Immediate | undefined;
    const timer = setTimeout(() => {
      // after a pause of this process, heartbeats that have arrived meanwhile are heard before anyone is called silent;
      // unref'd it would wait for whatever wakes the loop next
      immediate = setImmediate(call);
    }, ms).unref();
    return () => {
      clearTimeout(timer);
      clearImmediate(immediate);
    };
  },
};
