import { errorText } from '../util/os/durable.js';
import { exitStatus, fail, type Result } from '../util/result.js';
import { formatDuration } from '../util/duration.js';
import type { RunServer } from './serve-run.js';

interface LaterParts {
  /** Never called twice at a time, nor after it succeeded. */
  readonly open: (
    attemptNow: () => number | undefined,
    notice: (text: string) => void,
  ) => Promise<Result<RunServer>>;
  /** The attempt that lives already. */
  readonly attempt: number;
  /** What workers are to find the server by while it is not there. */
  readonly envOf: (attempt: number) => Readonly<Record<string, string>>;
  readonly notice: (text: string) => void;
  readonly retryMs?: number;
}

/**
 * The server of a training that lives already. Nothing about it is a reason to leave that one alone: what keeps the
 * server from starting is told, and it is tried again until it starts.
 */
export class LaterServer implements RunServer {
  readonly #parts: LaterParts;
  #server: RunServer | undefined;
  #attempt: number | undefined;
  #hear: ((line: string) => void) | undefined;
  readonly #told = new Set<string>();
  #trying: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(parts: LaterParts) {
    this.#parts = parts;
    this.#attempt = parts.attempt;
  }

  /** Settles when it was tried once. */
  static async start(parts: LaterParts): Promise<LaterServer> {
    const later = new LaterServer(parts);
    await later.#try();
    return later;
  }

  begin(attempt: number): Readonly<Record<string, string>> {
    this.#attempt = attempt;
    return this.#server?.begin(attempt) ?? this.#parts.envOf(attempt);
  }

  readonly hearLines = (hear: (line: string) => void): (() => void) => {
    this.#hear = hear;
    return () => {
      if (this.#hear === hear) this.#hear = undefined;
    };
  };

  attemptOver(): void {
    this.#attempt = undefined;
    this.#server?.attemptOver();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#trying;
    await this.#server?.close();
  }

  async #try(): Promise<void> {
    const { open, attempt: first, retryMs = 5000 } = this.#parts;
    const opened = await open(
      () => this.#attempt,
      (text) => this.#tell(text),
    ).catch((error: unknown) => fail(errorText(error), exitStatus.internal));
    if (!opened.ok) {
      this.#tell(
        `workers cannot report: ${opened.error.message}; the training is supervised, but until they can their silence counts as that of any other, and it is tried again every ${formatDuration(retryMs)}`,
      );
      if (!this.#closed) this.#timer = setTimeout(() => void (this.#trying = this.#try()), retryMs);
      return;
    }
    const server = opened.value;
    this.#server = server;
    server.hearLines((line) => this.#hear?.(line));
    // who is remembered belongs to the attempt that lived at first
    if (this.#attempt === undefined) server.attemptOver();
    else if (this.#attempt !== first) server.begin(this.#attempt);
  }

  /** What every try says anew is told once. */
  #tell(text: string): void {
    if (!this.#server && this.#told.has(text)) return;
    if (!this.#server) this.#told.add(text);
    this.#parts.notice(text);
  }
}
