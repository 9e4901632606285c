import type { Lack } from '../../engines/local/room.js';

export type { Lack } from '../../engines/local/room.js';

/** A limit on how long a guess of ours may hold up an attempt. By `HostQuestion.waitedMs`; there is no clock. */
export interface Patience {
  /** @returns the same, unless it has been waited for so long, which is said once */
  hold(lack: Lack | undefined, waitedMs: number, limitMs: number): Lack | undefined;
  /** A new wait begins. */
  reset(): void;
}

export function createPatience(notice: (text: string) => void): Patience {
  let since: number | undefined;
  let isSpent = false;
  return {
    hold(lack, waitedMs, limitMs) {
      since = lack && (since ?? waitedMs);
      if (!lack || since === undefined || isSpent) return undefined;
      if (waitedMs - since < limitMs) return lack;
      isSpent = true;
      notice(`waited in vain for ${lack.words}; going on`);
      return undefined;
    },
    reset() {
      since = undefined;
      isSpent = false;
    },
  };
}
