import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { LockRequest } from '../../src/util/os/lock.js';

export interface Said {
  readonly won?: boolean;
  readonly message?: string;
  readonly exit?: number;
}

/** A real process that takes and gives back locks. */
export class Holder {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor() {
    const script = fileURLToPath(new URL('./lock-holder.js', import.meta.url));
    this.child = spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = readline.createInterface({ input: this.child.stdout! })[Symbol.asyncIterator]();
  }

  static async start(): Promise<Holder> {
    const holder = new Holder();
    await holder.#answer();
    return holder;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** `no-abstract`: as where there are no abstract sockets. */
  async acquire(request: LockRequest, mode: 'usual' | 'no-abstract' = 'usual'): Promise<Said> {
    this.child.stdin!.write(`${JSON.stringify({ acquire: request, mode })}\n`);
    return this.#answer();
  }

  async release(): Promise<void> {
    this.child.stdin!.write('{"release":true}\n');
    await this.#answer();
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill(signal);
    if (signal === 'SIGKILL') await once(this.child, 'exit');
  }

  async #answer(): Promise<Said> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error('the holder ended without an answer');
    return JSON.parse(line.value) as Said;
  }
}
