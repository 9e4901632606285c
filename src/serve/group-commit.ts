import { setImmediate } from 'node:timers/promises';
import type { WorkerChange } from '../recovery/ports.js';
import type { KeptAnswer } from './answers.js';

/** So many changes go to disk in one piece: about a millisecond's work. */
const mostChanges = 1000;
/** How long what is written waits for the answer that belongs to it; others wait behind it. */
const longestHoldMs = 1000;

/** What goes to disk as one: changes, and the answer to the request that made them. */
export class Append {
  readonly changes: WorkerChange[] = [];
  durable = false;
  answer: KeptAnswer | undefined;
  /** It is on its way: nothing more can go with it. */
  taken = false;
  /** More may be added to it. */
  open: boolean;
  /** Settles when it is on the disk. */
  readonly written: Promise<void>;
  #written: { resolve: () => void; reject: (error: unknown) => void } | undefined;
  #closed: (() => void) | undefined;

  /** @param open it waits for {@link close} before it is written, for a second at most */
  constructor(open: boolean) {
    this.open = open;
    this.written = new Promise((resolve, reject) => (this.#written = { resolve, reject }));
    // whoever asked for it looks at it later
    this.written.catch(() => undefined);
  }

  close(): void {
    this.open = false;
    this.#closed?.();
  }

  /** Waits until it is closed, or for as long as others may be kept waiting. */
  async held(): Promise<void> {
    if (!this.open) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, longestHoldMs);
      this.#closed = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  settle(error?: unknown): void {
    if (error === undefined) this.#written?.resolve();
    else this.#written?.reject(error);
  }
}

/** Writes what comes in the order in which it came; what comes while the disk is at work goes together next. */
export class GroupCommit {
  readonly #write: (group: readonly Append[]) => Promise<void>;
  #waiting: Append[] = [];
  #running: Promise<void> | undefined;

  /** @param write writes all of a group, or rejects and none of it is written */
  constructor(write: (group: readonly Append[]) => Promise<void>) {
    this.#write = write;
  }

  add(append: Append): void {
    this.#waiting.push(append);
    this.#running ??= this.#run();
  }

  /** Settles when nothing is waiting. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    // the rest of what this turn of the event loop brings
    await setImmediate();
    while (this.#waiting.length > 0) {
      const group = await this.#take();
      let problem: unknown;
      try {
        await this.#write(group);
      } catch (error) {
        problem = error;
      }
      for (const append of group) append.settle(problem);
    }
    this.#running = undefined;
  }

  async #take(): Promise<Append[]> {
    await this.#waiting[0]?.held();
    let changes = 0;
    let length = 0;
    for (const append of this.#waiting) {
      // what is not complete begins a group of its own
      if (length > 0 && (append.open || changes + append.changes.length > mostChanges)) break;
      append.taken = true;
      changes += append.changes.length;
      length++;
    }
    return this.#waiting.splice(0, length);
  }
}
