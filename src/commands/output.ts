import { createConsole } from '../report/console.js';
import type { Line } from '../report/narrate.js';

/** What the user's terminal or pipe is to trainguard: a courtesy. Losing it ends nothing. */
export interface Output {
  say(lines: readonly Line[]): void;
  /** One JSON value on a line of stdout. */
  json(value: unknown): void;
  out(chunk: Uint8Array): Promise<void>;
  err(chunk: Uint8Array): Promise<void>;
  /** The terminal is gone (HUP): nothing is written any more. */
  detach(): void;
}

export interface OutputOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly color: boolean;
}

/** Writes to stdout and stderr; EPIPE and EIO only take the stream away. */
export function createOutput(options: OutputOptions, lost: (text: string) => void = () => undefined): Output {
  const gone = { stdout: false, stderr: false };
  const lose = (name: 'stdout' | 'stderr', why: string): void => {
    if (gone[name]) return;
    gone[name] = true;
    lost(`${name} is gone (${why}); going on without it`);
  };
  for (const name of ['stdout', 'stderr'] as const) {
    process[name].on('error', (error: Error) => lose(name, error.message));
  }
  const write = (name: 'stdout' | 'stderr', chunk: string | Uint8Array): Promise<void> => {
    if (gone[name]) return Promise.resolve();
    return new Promise((resolve) => {
      process[name].write(chunk, () => resolve());
    });
  };
  const console = createConsole((text) => void write('stderr', text), wantsColor(options.color));
  return {
    say(lines) {
      if (options.quiet !== true && options.json !== true) console.say(lines);
    },
    json: (value) => void write('stdout', `${JSON.stringify(value)}\n`),
    // with --json stdout is for JSON alone
    out: (chunk) => write(options.json === true ? 'stderr' : 'stdout', chunk),
    err: (chunk) => write('stderr', chunk),
    detach() {
      lose('stdout', 'the terminal was closed');
      lose('stderr', 'the terminal was closed');
    },
  };
}

/** NO_COLOR, `--no-color`, a non-TTY and `TERM=dumb` are honoured. */
function wantsColor(asked: boolean): boolean {
  const { NO_COLOR, TERM } = process.env;
  return asked && process.stderr.isTTY && (NO_COLOR ?? '') === '' && TERM !== 'dumb';
}
