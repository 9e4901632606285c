import type { Exit } from './types.js';

/** What a signal that ended a process usually means; Linux numbers, as shells report them (128 + n). */
interface SignalWords {
  readonly number: number;
  readonly meaning: string;
  /** Raised by the program's own fault: the same place again is the same failure. */
  readonly fault?: boolean;
}

const signals: Readonly<Record<string, SignalWords>> = {
  SIGHUP: { number: 1, meaning: 'its terminal or session went away' },
  SIGINT: { number: 2, meaning: 'somebody interrupted it' },
  SIGQUIT: { number: 3, meaning: 'somebody asked it to quit and dump core' },
  SIGILL: { number: 4, meaning: 'it met an instruction this processor does not have', fault: true },
  SIGTRAP: { number: 5, meaning: 'it met a breakpoint', fault: true },
  SIGABRT: { number: 6, meaning: 'native code gave up on itself, as a failed assertion does', fault: true },
  SIGBUS: {
    number: 7,
    meaning: 'it touched memory that has nothing behind it, often a full /dev/shm or a truncated file',
    fault: true,
  },
  SIGFPE: { number: 8, meaning: 'it divided by zero in native code', fault: true },
  SIGKILL: {
    number: 9,
    meaning: 'something killed it outright: the out-of-memory killer, a scheduler, or a person',
  },
  SIGUSR1: { number: 10, meaning: 'it was sent a signal that it does not handle' },
  SIGSEGV: {
    number: 11,
    meaning: 'it touched memory that is not its own, a bug in native code',
    fault: true,
  },
  SIGUSR2: { number: 12, meaning: 'it was sent a signal that it does not handle' },
  SIGPIPE: { number: 13, meaning: 'it wrote to a pipe that nobody reads' },
  SIGALRM: { number: 14, meaning: 'a timer that it had set went off' },
  SIGTERM: { number: 15, meaning: 'something asked it to end, and trainguard did not' },
  SIGXCPU: { number: 24, meaning: 'it used up the processor time it is allowed (ulimit -t)' },
  SIGXFSZ: { number: 25, meaning: 'it wrote a larger file than it is allowed (ulimit -f)' },
  SIGSYS: { number: 31, meaning: 'it made a system call that is forbidden here', fault: true },
};

/** A death by signal, seen directly or as a shell or launcher passes it on (128 + n; 247 is Python's -9). */
export interface Death {
  readonly signal: string;
  readonly meaning: string;
  readonly fault: boolean;
  /** Undefined if the process itself was signalled. */
  readonly reportedAs?: number;
}

/** The signal behind an exit, if there is one. */
export function deathOf(exit: Exit): Death | undefined {
  if (exit.type === 'signal') return death(exit.signal);
  if (exit.type !== 'code') return undefined;
  const number = exit.code === 247 ? 9 : exit.code - 128;
  const signal = Object.keys(signals).find((name) => signals[name]?.number === number);
  return signal === undefined ? undefined : { ...death(signal), reportedAs: exit.code };
}

function death(signal: string): Death {
  const words = signals[signal];
  return { signal, meaning: words?.meaning ?? 'it was sent a signal', fault: words?.fault ?? false };
}

/** `SIGKILL` for 9. */
export const signalName = (number: number): string =>
  Object.keys(signals).find((name) => signals[name]?.number === number) ?? `signal ${number}`;

/** 9 for `SIGKILL`; 0 for one that is not in the table. */
export const signalNumber = (name: string): number => signals[name]?.number ?? 0;
