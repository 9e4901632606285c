import { execFile } from 'node:child_process';
import { resolveCommand } from '../engines/local/resolve-command.js';

/** How long a program that is only asked something may take, ms: a sick driver or a lost NFS server never answers. */
const patienceMs = 5000;
const mostBytes = 1024 * 1024;

export interface Answer {
  readonly ok: boolean;
  readonly stdout: string;
  /** Why it failed: its own last words, or ours. */
  readonly why: string;
}

/** Asks a program, for 5 s at most. Never throws. */
export function ask(file: string, ...args: readonly string[]): Promise<Answer> {
  return new Promise((resolve) => {
    const child = execFile(
      file,
      args,
      { timeout: patienceMs, killSignal: 'SIGKILL', maxBuffer: mostBytes },
      (error, stdout, stderr) => {
        const said = (stderr.trim() || stdout.trim()).split('\n').at(-1) ?? '';
        const why =
          error?.killed === true ? `no answer within ${patienceMs / 1000} s` : said || (error?.message ?? '');
        resolve({ ok: error === null, stdout, why });
      },
    );
    child.stdin?.end();
  });
}

/** Where a program is, as the worker's PATH has it; undefined: nowhere. */
export function whereIs(name: string): string | undefined {
  const found = resolveCommand(name, process.env, process.cwd());
  return found.ok && found.value.startsWith('/') ? found.value : undefined;
}
