import type { EventEmitter } from 'node:events';
import { EventReader } from './event-reader.js';
import type { RecoveryEvent } from './types.js';

/** What a manager's listeners get, by the name that they listen to. */
export type RecoveryEventMap = {
  readonly [Type in RecoveryEvent['type']]: [event: Extract<RecoveryEvent, { type: Type }>];
} & {
  /** Every one of them. */
  readonly event: [event: RecoveryEvent];
  /** What went wrong with no caller to tell it to. */
  readonly problem: [error: Error];
};

/**
 * Tells events to listeners and readers, each event to all of them before the next one, also where a listener causes
 * more. A listener that throws keeps nothing from the others: it is told as a problem.
 */
export class Announcer {
  readonly #emitter: EventEmitter<RecoveryEventMap>;
  readonly #readers = new Set<EventReader>();
  #untold: RecoveryEvent[] = [];
  #telling = false;
  #ended = false;

  constructor(emitter: EventEmitter<RecoveryEventMap>) {
    this.#emitter = emitter;
  }

  tell(event: RecoveryEvent): void {
    this.#untold.push(event);
    if (this.#telling) return; // a listener's own doing: it comes after this one
    this.#telling = true;
    for (const next of this.#untold) {
      this.#call(next.type, next, this.problem);
      this.#call('event', next, this.problem);
      for (const reader of this.#readers) reader.push(next);
    }
    this.#untold = [];
    this.#telling = false;
  }

  /** To who listens for `problem`; where nobody does, as a warning of the process. */
  readonly problem = (error: unknown): void => {
    const problem = error instanceof Error ? error : new Error(String(error));
    if (this.#emitter.listenerCount('problem') > 0) this.#call('problem', problem, warn);
    else warn(problem);
  };

  reader(): EventReader {
    const reader = new EventReader(() => this.#readers.delete(reader));
    this.#readers.add(reader);
    if (this.#ended) reader.end();
    return reader;
  }

  /** Readers get what is kept for them, and no more. */
  end(): void {
    this.#ended = true;
    for (const reader of this.#readers) reader.end();
  }

  /** Not `emit`, which stops at the first listener that throws. */
  #call(name: keyof RecoveryEventMap, argument: unknown, failed: (error: unknown) => void): void {
    for (const listener of this.#emitter.rawListeners(name)) {
      try {
        const answer: unknown = Reflect.apply(listener, this.#emitter, [argument]);
        if (answer instanceof Promise) answer.catch(failed);
      } catch (error) {
        failed(error);
      }
    }
  }
}

function warn(error: unknown): void {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  process.emitWarning(message, { type: 'RecoveryManagerProblem', ...(stack && { detail: stack }) });
}
