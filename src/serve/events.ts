import type { RecoveryEvent } from '../recovery/types.js';
import { encode, EventStream } from './event-stream.js';

/** Nobody may make us keep more than this, however long the reasons of failures are. */
const mostKeptBytes = 8 * 1024 * 1024;

export interface Frame {
  readonly workerId: string | undefined;
  readonly bytes: Uint8Array;
}

export interface EventLogOptions {
  /** Differs from that of every other log, so that a number of another life is not taken for one of ours. */
  readonly epoch: string;
  readonly kept: number;
  readonly streams: number;
  /** A stream ends after so many turns of the clock. */
  readonly turns: number;
}

/**
 * The newest events, each written once for all who read. A reader has no buffer of its own, only its place in them: one
 * that is overtaken, or takes nothing for two turns, is cut off, and comes again with the id of the last that it saw.
 */
export class EventLog {
  readonly #options: EventLogOptions;
  readonly #frames: (Frame | undefined)[];
  readonly #streams = new Set<EventStream>();
  #first = 0;
  #next = 0;
  #bytes = 0;

  constructor(options: EventLogOptions) {
    this.#options = options;
    this.#frames = new Array<Frame | undefined>(options.kept);
  }

  /** The number of the oldest that is kept. */
  get first(): number {
    return this.#first;
  }

  /** The number that the next event will have. */
  get next(): number {
    return this.#next;
  }

  frame(number: number): Frame | undefined {
    return this.#frames[number % this.#frames.length];
  }

  add(event: RecoveryEvent): void {
    const bytes = encode(
      `id: ${this.#id(this.#next + 1)}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`,
    );
    while (this.#next - this.#first >= this.#frames.length || this.#bytes + bytes.length > mostKeptBytes) {
      if (this.#first === this.#next) break;
      this.#dropOldest();
    }
    this.#frames[this.#next % this.#frames.length] = { workerId: workerOf(event), bytes };
    this.#next++;
    this.#bytes += bytes.length;
    for (const stream of this.#streams) stream.wake();
  }

  /**
   * @param reader `after`: the id of the last event that it saw; `cut` ends its connection
   * @returns undefined: there are as many readers as may be
   */
  open(reader: { workerId?: string; after?: string; cut: () => void }): EventStream | undefined {
    if (this.#streams.size >= this.#options.streams) return undefined;
    const { at, greeting } = this.#placeOf(reader.after);
    const stream = new EventStream(this, at, encode(greeting), reader, () => this.#streams.delete(stream));
    this.#streams.add(stream);
    return stream;
  }

  /** One turn of the clock: each reader hears something, or is cut off. */
  turn(): void {
    for (const stream of this.#streams) stream.turn(this.#options.turns);
  }

  endStreams(): void {
    for (const stream of this.#streams) stream.end();
  }

  #placeOf(after: string | undefined): { at: number; greeting: string } {
    // a reader that goes before the first event knows from here where it was
    if (after === undefined)
      return { at: this.#next, greeting: `retry: 2000\nid: ${this.#id(this.#next)}\n\n` };
    const at = Number(/-(\d{1,15})$/.exec(after)?.[1]);
    const known = after === this.#id(at) && at >= this.#first && at <= this.#next;
    if (known) return { at, greeting: 'retry: 2000\n\n' };
    const gap = `id: ${this.#id(this.#first)}\nevent: gap\ndata: {"type":"gap"}\n\n`;
    return { at: this.#first, greeting: `retry: 2000\n\n${gap}` };
  }

  /** What a reader names who has seen so many. */
  #id(seen: number): string {
    return `${this.#options.epoch}-${seen}`;
  }

  #dropOldest(): void {
    const slot = this.#first % this.#frames.length;
    this.#bytes -= this.#frames[slot]?.bytes.length ?? 0;
    this.#frames[slot] = undefined;
    this.#first++;
  }
}

const workerOf = (event: RecoveryEvent): string | undefined => {
  if ('worker' in event) return event.worker.workerId;
  return 'workerId' in event ? event.workerId : undefined;
};
