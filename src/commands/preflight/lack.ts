/** Something an attempt has to wait for. */
export interface Lack {
  /** What it is about: while this stays the same the words may change in their figures alone. */
  readonly about: string;
  /** Goes on after `waiting for`: `1.2 GiB of free space for …`. */
  readonly words: string;
}

/** A limit on how long a guess of ours may hold up an attempt. By `HostQuestion.waitedMs`; there is no clock. */
export interface Patience {
  /** Whether what is lacking has been waited for so long. */
  isSpent(waitedMs: number, limitMs: number): boolean;
  /** It is not lacking, or a new wait begins. */
  reset(): void;
}

export function createPatience(): Patience {
  let since: number | undefined;
  return {
    isSpent(waitedMs, limitMs) {
      since ??= waitedMs;
      return waitedMs - since >= limitMs;
    },
    reset() {
      since = undefined;
    },
  };
}
