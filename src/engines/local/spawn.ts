import { errorCode, errorText } from '../../util/os/durable.js';

export interface SpawnOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Ours (0), or /dev/null. */
  readonly stdin: 0 | 'ignore';
  /** Raw descriptors of ours. */
  readonly stdout: number;
  readonly stderr: number;
}

/** A process of ours, leader of a session of its own. */
export interface Spawned {
  /** undefined if it could not be started. */
  readonly pid: number | undefined;
  /** Settles when the process itself has ended, whoever may still hold its descriptors. */
  readonly exited: Promise<SpawnedExit>;
}

export type SpawnedExit =
  | { readonly type: 'ended'; readonly code: number | undefined }
  | { readonly type: 'failed'; readonly code: string; readonly message: string };

export interface Spawner {
  /** Starts a process that outlives us: own session and group, no pipe to us, not ended with us. */
  start(file: string, args: readonly string[], options: SpawnOptions): Spawned;
  /** Runs a small tool to its end, at most `limitMs` (10 s unless given) and 1 MiB of output. Never throws. */
  run(file: string, args: readonly string[], limitMs?: number): Promise<ToolResult>;
}

export interface ToolResult {
  readonly ok: boolean;
  readonly stdout: string;
  /** Why it failed, in a few words. */
  readonly why: string;
}

/**
 * Loads what starts processes: 100 ms, so it is done once, as an engine is made, and never by `status`.
 * The only importer of execa. With plain descriptors in `stdio`, `buffer: false` and no transforms execa hands them
 * to the child as they are: no pipe is made [seen with strace: no pipe2 but libuv's own for exec errors].
 */
export async function loadSpawner(): Promise<Spawner> {
  const { execa } = await import('execa');
  return {
    start(file, args, { cwd, env, stdin, stdout, stderr }) {
      const child = execa(file, args, {
        cwd,
        env,
        extendEnv: false,
        stdio: [stdin, stdout as 3, stderr as 4], // its types know descriptors up to 9
        buffer: false,
        cleanup: false,
        detached: true,
        reject: false,
      });
      // the event, since execa's own promise waits for `close`
      const exited = new Promise<SpawnedExit>((resolve) => {
        child.once('exit', (code) => resolve({ type: 'ended', code: code ?? undefined }));
        void child.then((result) => {
          const { cause } = result;
          if (child.pid === undefined)
            resolve({ type: 'failed', code: errorCode(cause) ?? 'EAGAIN', message: errorText(cause) });
        });
      });
      return { pid: child.pid, exited };
    },
    async run(file, args, limitMs = 10_000) {
      const result = await execa(file, args, {
        stdin: 'ignore',
        reject: false,
        timeout: limitMs,
        maxBuffer: 1024 * 1024,
      });
      const why = result.stderr.trim() || errorText(result.cause ?? `exit status ${result.exitCode ?? '?'}`);
      return { ok: !result.failed, stdout: result.stdout, why };
    },
  };
}
