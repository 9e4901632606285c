import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { maskText } from '../util/mask.js';
import { errorCode, errorText } from '../util/os/durable.js';

/** One call of a command of the user's: a hook, a preflight check, a notifier, nvidia-smi. */
export interface ChildCall {
  /** Program and arguments; no shell sees them. */
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** What it reads from stdin, which then ends. */
  readonly input?: string;
  readonly timeoutMs: number;
  /** Nobody waits for it any more: it is ended as at its time limit, but gets a second at most to end by itself. */
  readonly signal?: AbortSignal;
  /** How much of the end of its output is kept, bytes; 64 KiB unless given. */
  readonly keepBytes?: number;
  /** From SIGTERM to SIGKILL, ms; 5 s unless given. */
  readonly graceMs?: number;
}

/** How a call ended, and the end of what it wrote to stdout and stderr. */
export type ChildEnd = {
  readonly output: string;
  readonly ms: number;
  /** Its pid, if SIGKILL did not end it: it hangs in the kernel (a dead mount), or is another user's. */
  readonly left?: number;
} & (
  | { readonly type: 'exited'; readonly code: number }
  | { readonly type: 'killed'; readonly signal: string }
  | { readonly type: 'timed-out'; readonly limitMs: number }
  | { readonly type: 'aborted' }
  /** code as execve's: ENOENT, EACCES… */
  | { readonly type: 'not-started'; readonly code: string; readonly why: string }
);

/** Without what is the same for every end. */
type HowEnded = ChildEnd extends infer E ? (E extends ChildEnd ? Omit<E, 'output' | 'ms'> : never) : never;

/** How long output is waited for that a process left behind could still write, ms. */
const drainMs = 200;
/** How long the end of what got SIGKILL is waited for, ms. */
const leaveMs = 1000;
/** From SIGTERM to SIGKILL where nobody waits any more, ms at most. */
const abortGraceMs = 1000;

/**
 * Runs a command in a session and group of its own, to its end or its time limit: then the group gets SIGTERM, and
 * SIGKILL once the command has ended or 5 s have passed. What a command that ended by itself leaves in the background
 * is left alone, but its output is not read any more. What does not end by SIGKILL is left behind a second later. Never
 * rejects.
 */
export function runChild(call: ChildCall): Promise<ChildEnd> {
  const begun = performance.now();
  const output = createTail(call.keepBytes ?? 64 * 1024);
  return new Promise((resolve) => {
    const timers: NodeJS.Timeout[] = [];
    const finish = (how: HowEnded): void => {
      for (const timer of timers) clearTimeout(timer);
      call.signal?.removeEventListener('abort', abort);
      resolve({ ...how, output: output.text(), ms: performance.now() - begun });
    };
    let cutOff: HowEnded | undefined;
    const cut = (why: HowEnded, graceMs: number): void => {
      // who was at its time limit, and is not waited for any more, gets the shorter grace
      timers.push(setTimeout(kill, graceMs));
      if (cutOff) return;
      cutOff = why;
      signalGroup(child, 'SIGTERM');
      signalGroup(child, 'SIGCONT');
    };
    const kill = (): void => {
      signalGroup(child, 'SIGKILL');
      timers.push(setTimeout(leave, leaveMs));
    };
    const leave = (): void => {
      for (const stream of child.stdio) stream?.destroy();
      child.unref();
      if (cutOff) finish({ ...cutOff, ...(child.pid !== undefined && { left: child.pid }) });
    };
    const { graceMs = 5000 } = call;
    const abort = (): void => cut({ type: 'aborted' }, Math.min(graceMs, abortGraceMs));
    if (call.signal?.aborted) {
      finish({ type: 'aborted' });
      return;
    }

    const started = start(call);
    if ('why' in started) {
      finish(started);
      return;
    }
    const child = started;
    child.on('error', (error) => finish(notStarted(error, call)));
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => output.add(chunk));
    for (const stream of child.stdio) stream?.on('error', ignoreGone);
    child.stdin?.end(call.input ?? '');
    timers.push(
      setTimeout(() => cut({ type: 'timed-out', limitMs: call.timeoutMs }, graceMs), call.timeoutMs),
    );
    call.signal?.addEventListener('abort', abort);
    child.once('exit', (code, signal) => {
      // whoever of the group outlived its leader does not outlive the limit
      if (cutOff) signalGroup(child, 'SIGKILL');
      const how =
        cutOff ?? (code === null ? { type: 'killed', signal: signal ?? '?' } : { type: 'exited', code });
      const done = (): void => {
        for (const stream of child.stdio) stream?.destroy();
        finish(how);
      };
      child.once('close', done);
      timers.push(setTimeout(done, drainMs));
    });
  });
}

/** How it ended, in words: `exit 3`, `took longer than 60 s`. */
export function endWords(end: ChildEnd): string {
  const left = end.left === undefined ? '' : `; SIGKILL did not end it, so pid ${end.left} is left behind`;
  return howWords(end) + left;
}

function howWords(end: ChildEnd): string {
  switch (end.type) {
    case 'exited':
      return `exit ${end.code}`;
    case 'killed':
      return end.signal;
    case 'timed-out':
      return `no end within ${end.limitMs / 1000} s`;
    case 'aborted':
      return 'broken off, since the run ended';
    case 'not-started':
      return `it could not be started: ${end.why}`;
  }
}

/** The last line with something in it, at most 200 characters, secrets masked; undefined: it said nothing. */
export function lastWords({ output }: ChildEnd): string | undefined {
  const line = output
    .trimEnd()
    .split(/[\r\n]/)
    .at(-1)
    ?.trim();
  return line === undefined || line === '' ? undefined : maskText(line).slice(0, 200);
}

function start(call: ChildCall): ChildProcess | Extract<HowEnded, { type: 'not-started' }> {
  const { cwd, env } = call;
  const [program, ...args] = call.argv;
  try {
    return spawn(program, args, { cwd, env, detached: true, stdio: 'pipe' });
  } catch (error) {
    // most failures come as an event; a list that is too long, or a NUL in it, is thrown
    return notStarted(error, call);
  }
}

function notStarted(
  error: unknown,
  { argv: [program], cwd }: ChildCall,
): Extract<HowEnded, { type: 'not-started' }> {
  const code = errorCode(error) ?? 'EIO';
  // the system says ENOENT for either
  const missing = existsSync(cwd) ? `${program} was not found` : `the working directory ${cwd} is gone`;
  return { type: 'not-started', code, why: code === 'ENOENT' ? missing : errorText(error) };
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // EPERM: only members of other users are left of it
    const code = errorCode(error);
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}

/** It ends without reading its input (EPIPE), or a process that it left holds a pipe. */
function ignoreGone(error: Error): void {
  if (errorCode(error) === undefined) throw error;
}

/** The last bytes of what is added. */
function createTail(keepBytes: number): { add(chunk: Buffer): void; text(): string } {
  let kept: Buffer[] = [];
  let bytes = 0;
  const join = (): Buffer => Buffer.concat(kept).subarray(-keepBytes);
  return {
    add(chunk) {
      kept.push(chunk);
      bytes += chunk.length;
      if (bytes < 2 * keepBytes) return;
      kept = [Buffer.from(join())];
      bytes = keepBytes;
    },
    text: () => join().toString('utf8'),
  };
}
