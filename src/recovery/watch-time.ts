/** How often the table is asked who fell silent, and how finely deadlines are kept. */
export const tickMs = 50;

/** A tick this much too late is one at which nobody watched. */
const forgivenLateMs = 1000;

/**
 * The watch's own time: it stands still while nobody could have heard a heartbeat, because the host slept or the process
 * was stopped. So a tick that comes late extends every deadline by as much, without touching one of them.
 */
export class WatchTime {
  #lastTick: number;
  #missedMs = 0;

  /** @param mono ms of a clock that does not go back, as everywhere here */
  constructor(mono: number) {
    this.#lastTick = mono;
  }

  /** What the watch's time is. Whatever comes first after a sleep notices it: a heartbeat may come before the tick. */
  at(mono: number): number {
    const lateMs = mono - this.#lastTick - tickMs;
    if (lateMs > forgivenLateMs) {
      this.#missedMs += lateMs;
      this.#lastTick = mono;
    }
    return mono - this.#missedMs;
  }

  /** The same, at a tick. */
  tick(mono: number): number {
    const time = this.at(mono);
    this.#lastTick = mono;
    return time;
  }

  /** Ticks come again from now on. */
  resume(mono: number): void {
    this.#lastTick = mono;
  }
}
