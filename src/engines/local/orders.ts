import type { Clock, StopOrder } from '../../supervisor/ports.js';
import { createWaker, type Waker } from './waker.js';

/** What an attempt was told to do about ending, the most urgent of it. Wakes the ladder when that changes. */
export interface Orders extends Waker {
  stop(order: StopOrder): void;
  kill(): void;
  noteCheckpoint(): void;
  /** Whether any order to end was given. */
  readonly given: boolean;
  /** Monotonic ms from which on everything is killed; Infinity without an order. */
  readonly killAt: number;
  /** Puts `killAt` off by what was done before the stop signal could be sent, ms: the grace begins with that. */
  putOff(ms: number): void;
  readonly dumpStacks: boolean;
  /** Complete checkpoints that appeared so far. */
  readonly checkpoints: number;
  /** A preemption's warning that nothing more urgent has overtaken. */
  readonly warning: StopOrder | undefined;
  /** The stop signal, if one waits to be sent. */
  takeSignal(): string | undefined;
}

export function createOrders(clock: Pick<Clock, 'mono' | 'after'>): Orders {
  const waker = createWaker(clock);
  let given = false;
  let killAt = Infinity;
  let dumpStacks = false;
  let checkpoints = 0;
  let warning: StopOrder | undefined;
  let signal: string | undefined;
  return {
    ...waker,
    stop(order) {
      dumpStacks ||= order.dumpStacks;
      if (order.preempted) {
        if (!given) warning = order; // else something more urgent is under way
      } else {
        warning = undefined;
        signal = order.signal;
        killAt = Math.min(killAt, clock.mono() + order.graceMs);
      }
      given = true;
      waker.wake();
    },
    kill() {
      given = true;
      warning = undefined;
      signal = undefined;
      killAt = -Infinity;
      waker.wake();
    },
    noteCheckpoint() {
      checkpoints++;
      waker.wake();
    },
    get given() {
      return given;
    },
    get killAt() {
      return killAt;
    },
    putOff(ms) {
      killAt += ms;
    },
    get dumpStacks() {
      return dumpStacks;
    },
    get checkpoints() {
      return checkpoints;
    },
    get warning() {
      return warning;
    },
    takeSignal() {
      const taken = signal;
      signal = undefined;
      return taken;
    },
  };
}
