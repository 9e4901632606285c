import type net from 'node:net';
import { eventually } from './eventually.js';
import { processAlive } from './process-alive.js';
import { readMessages, type Hello, type Message } from './puppet-messages.js';

const ANSWER_MS = 30_000;

/** What a grandchild inherits. */
export interface SpawnOptions {
  /** setsid: its own session and process group. */
  readonly ownSession?: boolean;
  /** An empty environment, as `env -i`. */
  readonly scrubEnv?: boolean;
  /** `inherit` unless given. */
  readonly stdio?: 'inherit' | 'ignore';
}

/** One process that does as it is told. Everything resolves when it is done, and throws after 30 s if it is not. */
export class Puppet {
  /** Settles with false if the connection ended without a hello. */
  readonly introduced: Promise<boolean>;
  readonly #socket: net.Socket;
  readonly #claim: (pid: number) => Promise<Puppet>;
  readonly #answers = new Map<number, Exclude<Message, { type: 'hello' | 'signal' }>>();
  readonly #signals: string[] = [];
  #hello: Hello | undefined;
  #connected = true;
  #lastId = 0;

  /** @param claim answers the puppet of that pid when it has come up */
  constructor(socket: net.Socket, claim: (pid: number) => Promise<Puppet>) {
    this.#socket = socket;
    this.#claim = claim;
    this.introduced = new Promise((resolve) => {
      readMessages(socket, (message) => {
        this.#take(message);
        if (message.type === 'hello') resolve(true);
      });
      // ECONNRESET: it was killed; `close` follows
      socket.on('error', () => undefined);
      socket.once('close', () => {
        this.#connected = false;
        resolve(false);
      });
    });
  }

  get pid(): number {
    return this.hello.pid;
  }

  /** Who it said it is: pid, ppid, argv, cwd, and the TRAINGUARD_* part of its environment. */
  get hello(): Hello {
    if (this.#hello === undefined) throw new Error('the puppet has not introduced itself');
    return this.#hello;
  }

  /** Writes to its stdout exactly what is given; no newline is added. */
  stdout(data: string | Uint8Array): Promise<void> {
    return this.#tell('write', { fd: 1, base64: base64(data) });
  }

  stderr(data: string | Uint8Array): Promise<void> {
    return this.#tell('write', { fd: 2, base64: base64(data) });
  }

  /** From here on it reports that signal and lives on. */
  trap(signal: NodeJS.Signals): Promise<void> {
    return this.#tell('trap', { signal });
  }

  /** From here on that signal does nothing. (It is caught and dropped: SigCgt, not SigIgn, in /proc.) */
  ignore(signal: NodeJS.Signals): Promise<void> {
    return this.#tell('ignore', { signal });
  }

  /** From here on that signal does again what it does by default. */
  default(signal: NodeJS.Signals): Promise<void> {
    return this.#tell('default', { signal });
  }

  /** Resolves when it has received a trapped signal that was not waited for yet. */
  async signal(signal: NodeJS.Signals, timeoutMs = ANSWER_MS): Promise<void> {
    await eventually(
      () => {
        const at = this.#signals.indexOf(signal);
        return at >= 0 && this.#signals.splice(at, 1);
      },
      `${signal} to reach puppet ${this.pid}`,
      timeoutMs,
    );
  }

  /** The trapped signals that were received and not waited for, in order. */
  get signals(): readonly string[] {
    return this.#signals;
  }

  writeFile(file: string, data: string | Uint8Array): Promise<void> {
    return this.#tell('file', { path: file, base64: base64(data), how: 'write' });
  }

  appendFile(file: string, data: string | Uint8Array): Promise<void> {
    return this.#tell('file', { path: file, base64: base64(data), how: 'append' });
  }

  truncate(file: string, bytes: number): Promise<void> {
    return this.#tell('truncate', { path: file, bytes });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#tell('rename', { from, to });
  }

  /** Opens a file for writing and keeps it open. */
  hold(file: string): Promise<void> {
    return this.#tell('hold', { path: file });
  }

  release(file: string): Promise<void> {
    return this.#tell('release', { path: file });
  }

  /** Blocks its event loop: it answers nothing and handles no signal meanwhile. */
  busy(ms: number): Promise<void> {
    return this.#tell('busy', { ms }, ms + ANSWER_MS);
  }

  /** Starts another puppet as its child. */
  async spawn(options: SpawnOptions = {}): Promise<Puppet> {
    const { ownSession = false, scrubEnv = false, stdio = 'inherit' } = options;
    const pid = await this.#ask('spawn', { ownSession, scrubEnv, stdio });
    return this.#claim(Number(pid));
  }

  /** Ends it with an exit status; resolves when it is gone. */
  async exit(code: number): Promise<void> {
    this.#send('exit', { code });
    await this.gone();
  }

  /** It sends itself a signal, undoing a trap first; resolves when it is gone. */
  async dieBy(signal: NodeJS.Signals): Promise<void> {
    this.#send('kill', { signal });
    await this.gone();
  }

  /** Resolves when the process is no more (a zombie counts). */
  async gone(timeoutMs = ANSWER_MS): Promise<void> {
    await eventually(() => !processAlive(this.pid), `the end of puppet ${this.pid}`, timeoutMs);
  }

  /** Whether it still runs. */
  get alive(): boolean {
    return processAlive(this.pid);
  }

  /** Ends it by force if it still runs. Its own socket tells whether the pid is still its. */
  async remove(): Promise<void> {
    if (this.#connected && this.alive) process.kill(this.pid, 'SIGKILL');
    this.#socket.destroy();
    await this.gone();
  }

  async #tell(deed: string, wanted: object, timeoutMs?: number): Promise<void> {
    await this.#ask(deed, wanted, timeoutMs);
  }

  async #ask(deed: string, wanted: object, timeoutMs = ANSWER_MS): Promise<unknown> {
    const id = this.#send(deed, wanted);
    const answer = await eventually(
      () => this.#answers.get(id) ?? (this.#connected ? undefined : ({ type: 'lost' } as const)),
      `puppet ${this.pid} to do "${deed}"`,
      timeoutMs,
    );
    this.#answers.delete(id);
    if (answer.type === 'lost') throw new Error(`puppet ${this.pid} ended before it did "${deed}"`);
    if (answer.type === 'failed') throw new Error(`puppet ${this.pid}: ${answer.message}`);
    return answer.value;
  }

  #send(deed: string, wanted: object): number {
    const id = ++this.#lastId;
    this.#socket.write(`${JSON.stringify({ id, deed, ...wanted })}\n`);
    return id;
  }

  #take(message: Message): void {
    if (message.type === 'hello') this.#hello = message;
    else if (message.type === 'signal') this.#signals.push(message.signal);
    else this.#answers.set(message.id, message);
  }
}

const base64 = (data: string | Uint8Array): string => Buffer.from(data).toString('base64');
