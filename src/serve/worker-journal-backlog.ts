import type { WorkerChange } from '../recovery/ports.js';
import { Answers } from './answers.js';
import type { Changes } from './worker-journal-image.js';

/**
 * What was done and answered, and refused by the disk: it goes there with whatever is written next. Of each worker the
 * newest is enough, for a change says what is now. Pure.
 */
export class Backlog {
  /** By worker; '' is the watch over all. */
  readonly #changes = new Map<string, WorkerChange>();
  #answers = new Answers();

  get isEmpty(): boolean {
    return this.#changes.size === 0 && this.#answers.values().next().done === true;
  }

  /** The answers that are not on the disk yet. */
  get answers(): Answers {
    return this.#answers;
  }

  /** As one batch, to be written before what comes next. */
  batch(): Changes[] {
    const answers = Array.from(this.#answers.values(), (answer) => ({ changes: [], answer }));
    return [{ changes: [...this.#changes.values()] }, ...answers];
  }

  /** @param isOnDisk whether the disk knows such a worker: who came and went without it is forgotten */
  add(refused: readonly Changes[], isOnDisk: (workerId: string) => boolean): void {
    for (const { changes, answer } of refused) {
      for (const change of changes) {
        const about = aboutWhom(change);
        this.#changes.delete(about);
        if (change.type !== 'gone' || isOnDisk(about)) this.#changes.set(about, change);
      }
      if (answer) this.#answers.keep(answer);
    }
  }

  /** All of it is on the disk. */
  clear(): void {
    this.#changes.clear();
    this.#answers = new Answers();
  }
}

function aboutWhom(change: WorkerChange): string {
  if (change.type === 'monitoring') return '';
  return change.type === 'gone' ? change.workerId : change.worker.workerId;
}
