import path from 'node:path';
import type {
  Clock,
  LogOffsets,
  LogStream,
  LogTail as LogEnd,
  WorkerEvents,
} from '../../supervisor/ports.js';
import { errorCode, errorText } from '../../util/os/durable.js';
import type { AttemptFiles } from './attempt-files.js';
import { createLogBound } from './log-bound.js';
import { newlinesBefore, readLogEnd } from './log-end.js';
import { openLogTail, type LogTail } from './log-tail.js';
import type { Spawner } from './spawn.js';
import { createWaker } from './waker.js';

/** Both logs of an attempt, read as they grow and kept within their bound. */
export interface Tails {
  readonly offsets: LogOffsets;
  /** Reads both to their present end. */
  drain(): Promise<void>;
  /** Reads both to their end and stops looking. */
  finish(): Promise<void>;
  /** The end of each, stderr first, at most `bytes` each; also of logs that were deleted. */
  ends(bytes: number): Promise<readonly LogEnd[]>;
}

export interface TailsOptions {
  readonly attemptDir: string;
  readonly files: AttemptFiles;
  /** Where to begin, bytes. */
  readonly offsets: LogOffsets;
  readonly events: WorkerEvents;
  readonly spawner: Spawner;
  readonly clock: Pick<Clock, 'mono' | 'after'>;
  readonly logsKeepAttemptBytes: number;
}

/** How often a log is looked at: well under the second in which a hang must be seen, ms. */
const pollMs = 50;

export async function openTails(options: TailsOptions): Promise<Tails> {
  const { files, events, clock } = options;
  const open = (stream: LogStream): Promise<LogTail> =>
    openLogTail(files[stream], options.offsets[stream], (line) => events.line(line, stream));
  const [out, err] = await Promise.all([open('out'), open('err')]);
  const offsets = (): LogOffsets => ({ out: out.offset, err: err.offset });
  const bound = createLogBound({
    files,
    attemptDir: options.attemptDir,
    keepBytes: options.logsKeepAttemptBytes,
    offsets,
    notice: (text) => events.notice(text),
    spawner: options.spawner,
    mono: () => clock.mono(),
  });
  const waker = createWaker(clock);
  let finished = false;
  let told = false;
  let toldDeleted = false;

  /** Does it with both logs; a file system that fails is told of once, and tried again. */
  const both = async (act: (tail: LogTail) => Promise<void>): Promise<void> => {
    try {
      await Promise.all([act(out), act(err)]);
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      if (!told) events.notice(`the attempt's logs cannot be read (${errorText(error)}); still trying`);
      told = true;
    }
  };
  const keepBound = async (): Promise<void> => {
    if (!out.deleted && !err.deleted) {
      await bound.check();
      return;
    }
    if (!toldDeleted)
      events.notice(
        `logs in ${options.attemptDir} were deleted under the training: it goes on and is watched on, but what it prints there is nowhere kept`,
      );
    toldDeleted = true;
  };
  const poll = async (): Promise<void> => {
    for (;;) {
      await both((tail) => tail.read());
      await keepBound();
      if (finished) return;
      await waker.wait(pollMs);
    }
  };
  const polling = poll();

  return {
    get offsets() {
      return offsets();
    },
    drain: () => both((tail) => tail.read()),
    async finish() {
      finished = true;
      waker.wake();
      await polling;
      await both((tail) => tail.read());
      await keepBound(); // what came since the last check may be much
      await both((tail) => tail.finish());
    },
    ends: (bytes) => {
      const end = async (stream: LogStream, tail: LogTail): Promise<LogEnd> => {
        const file = files[stream];
        // what is gone is told as far as it was kept, without the numbers of its lines
        if (tail.deleted) return { source: path.basename(file), text: (await tail.end()).slice(-bytes) };
        const before = await newlinesBefore(file, options.offsets[stream]);
        const { offset, newlines } = tail.counted;
        return await readLogEnd(
          file,
          bytes,
          before === undefined ? undefined : { offset, newlines: before + newlines },
        );
      };
      return Promise.all([end('err', err), end('out', out)]);
    },
  };
}
