import type { Remembered, WorkerChange, WorkerTimes } from '../recovery/ports.js';
import type { WorkerState } from '../recovery/types.js';
import { Answers, type KeptAnswer } from './answers.js';

/** A worker as the journal knows it. Its number stands for its id in the lines that come most often. */
export interface Row {
  readonly number: number;
  readonly worker: WorkerState;
  readonly limits: Partial<WorkerTimes>;
}

/** One step of an entry of the journal. Each says what is now, not what differs: taken twice, it comes to the same. */
export type Step =
  | ({ readonly type: 'worker' } & Row)
  | { readonly type: 'gone'; readonly workerId: string }
  | { readonly type: 'monitoring'; readonly monitoring: boolean }
  | { readonly type: 'answer'; readonly answer: KeptAnswer }
  /** First of all, and says that the entry was to survive a power cut. */
  | { readonly type: 'durable' }
  /** Plain heartbeats, three numbers each: the worker's number, its lastHeartbeat less `at`, its currentBatch. */
  | { readonly type: 'beats'; readonly at: number; readonly beats: number[] };

export const durableStep = { type: 'durable' } as const satisfies Step;

/** How an entry's text begins with it. No string in JSON can hold this, for its quotes would be escaped. */
export const durableMark = `[${JSON.stringify(durableStep)}`;

export interface Changes {
  readonly changes: readonly WorkerChange[];
  /** To the request that made them. */
  readonly answer?: KeptAnswer | undefined;
}

/** All that the journal comes to. Pure. */
export class WorkerImage {
  readonly rows = new Map<string, Row>();
  readonly #ids = new Map<number, string>();
  readonly answers = new Answers();
  monitoring = true;
  #nextNumber = 1;

  /** The steps that these changes and answers are, one after the other. Nothing is taken over yet. */
  encode(batch: readonly Changes[]): Step[] {
    const steps: Step[] = [];
    /** What the steps before made of a worker; null: gone. */
    const ahead = new Map<string, Row | null>();
    let nextNumber = this.#nextNumber;
    const changed = (change: WorkerChange): void => {
      if (change.type === 'gone') ahead.set(change.workerId, null);
      if (change.type !== 'worker') {
        steps.push(change);
        return;
      }
      const { worker, limits } = change;
      const before = ahead.has(worker.workerId) ? ahead.get(worker.workerId) : this.rows.get(worker.workerId);
      const row = { number: before?.number ?? nextNumber++, worker, limits };
      ahead.set(worker.workerId, row);
      if (before && onlyBeat(before, row)) addBeat(steps, row);
      else steps.push({ type: 'worker', ...row });
    };
    for (const { changes, answer } of batch) {
      for (const change of changes) changed(change);
      if (answer) steps.push({ type: 'answer', answer });
    }
    return steps;
  }

  /** Takes over steps that are on the disk. */
  apply(steps: readonly Step[]): void {
    for (const step of steps) this.#apply(step);
  }

  get remembered(): Remembered {
    const workers = [...this.rows.values()].map(({ worker, limits }) => ({ worker, limits }));
    return { workers, monitoring: this.monitoring };
  }

  #apply(step: Step): void {
    switch (step.type) {
      case 'worker': {
        const { number, worker, limits } = step;
        this.rows.set(worker.workerId, { number, worker, limits });
        this.#ids.set(number, worker.workerId);
        this.#nextNumber = Math.max(this.#nextNumber, number + 1);
        return;
      }
      case 'gone': {
        const row = this.rows.get(step.workerId);
        if (row) this.#ids.delete(row.number);
        this.rows.delete(step.workerId);
        return;
      }
      case 'durable':
        return;
      case 'monitoring':
        this.monitoring = step.monitoring;
        return;
      case 'answer':
        this.answers.keep(step.answer);
        return;
      case 'beats':
        this.#beat(step);
    }
  }

  #beat({ at, beats }: { readonly at: number; readonly beats: readonly number[] }): void {
    for (let i = 0; i + 2 < beats.length; i += 3) {
      const [number = 0, since = 0, currentBatch = 0] = beats.slice(i, i + 3);
      const row = this.rows.get(this.#ids.get(number) ?? '');
      // a snapshot is written while changes go on: one that is gone by then may still beat in the journal it follows
      if (!row) continue;
      const worker = { ...row.worker, lastHeartbeat: at + since, currentBatch };
      this.rows.set(worker.workerId, { ...row, worker });
    }
  }
}

function addBeat(steps: Step[], { number, worker }: Row): void {
  const last = steps.at(-1);
  const step =
    last?.type === 'beats' ? last : { type: 'beats' as const, at: worker.lastHeartbeat, beats: [] };
  if (step !== last) steps.push(step);
  step.beats.push(number, worker.lastHeartbeat - step.at, worker.currentBatch);
}

/** Whether all that a worker did was to beat. */
const onlyBeat = (before: Row, after: Row): boolean =>
  before.worker.status === after.worker.status &&
  before.worker.failureCount === after.worker.failureCount &&
  before.worker.lastCheckpoint === after.worker.lastCheckpoint &&
  before.limits.heartbeatTimeoutMs === after.limits.heartbeatTimeoutMs &&
  before.limits.maxFailures === after.limits.maxFailures;
