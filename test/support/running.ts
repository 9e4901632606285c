import { spawn, type ChildProcess } from 'node:child_process';

/** How a program ended, and all it printed. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that a test started. */
export interface Running {
  readonly pid: number;
  /** Printed so far; of more than 32 MiB the last 16. */
  readonly stdout: string;
  readonly stderr: string;
  /** Rejects only if it did not end in time; it is killed then. */
  readonly done: Promise<Ended>;
  /** Waits for a match in all that it printed since its start; rejects if it ends without one, or after `timeoutMs` (60 s). */
  untilStdout(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  untilStderr(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  /** Sends a signal to it alone; nothing happens if it has ended. */
  kill(signal: NodeJS.Signals): void;
}

export interface StartOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly input: string | undefined;
  readonly timeoutMs: number;
}

const MAX_CHARS = 32 * 1024 * 1024;
/** How long what it printed may lag behind its end: a process it left may hold the pipe open. */
const DRAIN_MS = 1000;

type Stream = 'stdout' | 'stderr';

export function start(argv: readonly [string, ...string[]], options: StartOptions): Running {
  const [command, ...args] = argv;
  const { cwd, env, input } = options;
  const child = spawn(command, args, {
    cwd,
    env,
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  const printed = { stdout: '', stderr: '' };
  const changed = { stdout: waiter(), stderr: waiter() };
  const state = { ended: false };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      printed[stream] += text;
      if (printed[stream].length > MAX_CHARS) printed[stream] = printed[stream].slice(-MAX_CHARS / 2);
      wake(stream);
    });
  }
  // EPIPE: it ended without reading all of its input, as is its right
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);

  const said = (): string =>
    `\n--- stdout\n${printed.stdout.slice(-4000)}\n--- stderr\n${printed.stderr.slice(-4000)}`;
  const name = argv.join(' ');

  const done = end(child, options.timeoutMs).then(
    ({ code, signal }) => {
      state.ended = true;
      wake('stdout');
      wake('stderr');
      return { code, signal, ...printed };
    },
    (error: unknown) => {
      state.ended = true;
      wake('stdout');
      wake('stderr');
      throw new Error(`${name}: ${error instanceof Error ? error.message : String(error)}${said()}`);
    },
  );
  // a test that never awaits `done` must not fail with an unhandled rejection instead of its own error
  done.catch(() => undefined);

  return {
    pid: child.pid ?? -1,
    get stdout() {
      return printed.stdout;
    },
    get stderr() {
      return printed.stderr;
    },
    done,
    untilStdout: (pattern, timeoutMs) => until('stdout', pattern, timeoutMs),
    untilStderr: (pattern, timeoutMs) => until('stderr', pattern, timeoutMs),
    kill: (signal) => void child.kill(signal),
  };

  async function until(stream: Stream, pattern: RegExp, timeoutMs = 60_000): Promise<RegExpExecArray> {
    const found = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));
    const limit = { passed: false };
    const timer = setTimeout(() => {
      limit.passed = true;
      wake(stream);
    }, timeoutMs);
    try {
      for (;;) {
        const match = found.exec(printed[stream]);
        if (match) return match;
        if (state.ended)
          throw new Error(`${name}: ended without printing ${String(pattern)} on ${stream}${said()}`);
        if (limit.passed)
          throw new Error(
            `${name}: ${timeoutMs} ms without printing ${String(pattern)} on ${stream}${said()}`,
          );
        await changed[stream].promise;
      }
    } finally {
      clearTimeout(timer);
    }
  }

  function wake(stream: Stream): void {
    const { resolve } = changed[stream];
    changed[stream] = waiter();
    resolve();
  }
}

function end(child: ChildProcess, timeoutMs: number): Promise<Pick<Ended, 'code' | 'signal'>> {
  return new Promise((resolve, reject) => {
    const state = { late: false };
    const limit = setTimeout(() => {
      state.late = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    child.once('error', (error) => {
      clearTimeout(limit);
      reject(error);
    });
    child.once('exit', (code, signal) => {
      clearTimeout(limit);
      // where we stood still meanwhile, what lies in the pipe is read before the end is told
      const drained = setTimeout(() => setImmediate(() => setImmediate(settle)), DRAIN_MS);
      child.once('close', () => {
        clearTimeout(drained);
        settle();
      });

      function settle(): void {
        if (state.late) reject(new Error(`did not end within ${timeoutMs} ms`));
        else resolve({ code, signal });
      }
    });
  });
}

function waiter(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
