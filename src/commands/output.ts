import { createConsole } from '../report/console.js';
import type { Line } from '../report/narrate.js';
import { openTerminalWriter } from '../util/os/terminal-writer.js';

/** What the user's terminal or pipe is to trainguard: a courtesy. Losing it ends nothing, and it is never waited for. */
export interface Output {
  say(lines: readonly Line[]): void;
  /** One JSON value on a line of stdout. */
  json(value: unknown): void;
  out(chunk: Uint8Array): Promise<void>;
  err(chunk: Uint8Array): Promise<void>;
  /** The terminal is gone (HUP): nothing is written any more. */
  detach(): void;
  /** Waits until all is written, `patienceMs` at most. @returns whether it is */
  finish(patienceMs: number): Promise<boolean>;
}

export interface OutputOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly color: boolean;
}

/** What may wait for a reader that stands still; beyond it trainguard's own lines are dropped, bytes. */
const backlogBytes = 4 * 1024 * 1024;

/** Writes to stdout and stderr; EPIPE and EIO only take the stream away. */
export function createOutput(options: OutputOptions, lost: (text: string) => void = () => undefined): Output {
  const streams = { stdout: openStream('stdout', lost), stderr: openStream('stderr', lost) };
  const console = createConsole((text) => void streams.stderr.write(text), wantsColor(options.color));
  return {
    say(lines) {
      if (options.quiet !== true && options.json !== true) console.say(lines);
    },
    json: (value) => void streams.stdout.write(`${JSON.stringify(value)}\n`),
    // with --json stdout is for JSON alone
    out: (chunk) => streams[options.json === true ? 'stderr' : 'stdout'].write(chunk),
    err: (chunk) => streams.stderr.write(chunk),
    detach() {
      // a file (nohup.out) or a pipe goes on
      for (const name of ['stdout', 'stderr'] as const) {
        if (process[name].isTTY) streams[name].lose('the terminal was closed');
      }
    },
    async finish(patienceMs) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<boolean>((resolve) => {
        timer = setTimeout(resolve, patienceMs, false);
      });
      const all = Promise.all([streams.stdout.drained(), streams.stderr.drained()]).then(() => true);
      const done = await Promise.race([all, late]);
      clearTimeout(timer);
      return done;
    },
  };
}

interface Stream {
  /** Settles when the text was taken, or is not wanted any more. Never rejects. */
  write(chunk: string | Uint8Array): Promise<void>;
  lose(why: string): void;
  drained(): Promise<void>;
}

function openStream(name: 'stdout' | 'stderr', lost: (text: string) => void): Stream {
  let gone = false;
  let backlog = 0;
  let lastWrite: Promise<void> = Promise.resolve();
  /** Who waits for a write. (A race against one promise of the stream's end would keep every write ever made.) */
  const waiting = new Set<() => void>();
  const unlessLost = (written: Promise<void>): Promise<void> =>
    new Promise((resolve) => {
      const done = (): void => {
        waiting.delete(done);
        resolve();
      };
      waiting.add(done);
      if (gone) done();
      else void written.then(done);
    });
  const lose = (why: string): void => {
    if (gone) return;
    gone = true;
    for (const done of waiting) done();
    lost(`${name} is gone (${why}); going on without it`);
  };
  const terminal = openTerminalWriter(name === 'stdout' ? 1 : 2);
  process[name].on('error', (error: Error) => lose(error.message));
  const write = (chunk: string | Uint8Array): Promise<void> =>
    terminal
      ? terminal.write(chunk).catch((error: unknown) => lose(String(error)))
      : new Promise((resolve) => {
          // a pipe's reader may stand still; its error is told by the event
          process[name].write(chunk, () => resolve());
        });
  return {
    lose,
    write(chunk) {
      if (gone || backlog > backlogBytes) return Promise.resolve();
      backlog += chunk.length;
      const written = write(chunk).finally(() => {
        backlog -= chunk.length;
      });
      lastWrite = written;
      return unlessLost(written);
    },
    drained: () => unlessLost(lastWrite),
  };
}

/** NO_COLOR, `--no-color`, a non-TTY and `TERM=dumb` are honoured. */
export function wantsColor(asked: boolean): boolean {
  const { NO_COLOR, TERM } = process.env;
  return asked && process.stderr.isTTY && (NO_COLOR ?? '') === '' && TERM !== 'dumb';
}
