import { Worker } from 'node:worker_threads';
import { errorText } from '../../util/os/durable.js';
import type { Depth } from './file.js';
import type { ThreadAnswer, ThreadFailure, ThreadOrder } from './thread-messages.js';
import type { UnitFiles, UnitVerdict } from './unit.js';

/** How often `goOn` is asked while the thread works, ms. */
const askEveryMs = 20;
/** How long an idle thread is kept for the next checkpoint, ms. */
const idleMs = 5_000;

/** Started by the first large checkpoint; it resolves to undefined, for good, where no thread can be started. */
let running: Promise<Thread | undefined> | undefined;

/**
 * A checkpoint in the thread, which is started lazily, and keeps the process alive only while it works.
 * @returns undefined if no thread can be started
 * @throws what the look throws
 */
export async function verifyInThread(unit: UnitFiles, depth: Depth): Promise<UnitVerdict | undefined> {
  const thread = await (running ??= start());
  return thread?.verify(unit, depth);
}

function start(): Promise<Thread | undefined> {
  const started: Promise<Thread | undefined> = Thread.start(() => {
    if (running === started) running = undefined;
  });
  return started;
}

interface Job {
  resolve(verdict: UnitVerdict): void;
  reject(error: Error): void;
}

class Thread {
  readonly #worker: Worker;
  readonly #ended: () => void;
  readonly #jobs = new Map<number, Job>();
  #idle: NodeJS.Timeout | undefined;
  #last = 0;

  /** @returns undefined if it cannot be started */
  static async start(ended: () => void): Promise<Thread | undefined> {
    try {
      // without our own flags, some of which a thread refuses; without a limit on its heap, since Node 20 ends the whole
      // process at it: what is parsed is bounded instead
      const worker = new Worker(new URL('./thread-main.js', import.meta.url), { execArgv: [] });
      await firstWord(worker);
      return new Thread(worker, ended);
    } catch (error) {
      // what it would do is done in this thread then: slower, not worse
      process.emitWarning(`checkpoints are verified without a thread: ${errorText(error)}`);
      return undefined;
    }
  }

  private constructor(worker: Worker, ended: () => void) {
    this.#worker = worker;
    this.#ended = ended;
    worker.on('message', (answer: ThreadAnswer) => this.#take(answer));
    worker.on('error', (error) => this.#die(error));
    worker.on('exit', () => this.#die(new Error('the thread that verifies checkpoints ended')));
    worker.unref();
  }

  async verify(unit: UnitFiles, { deep, goOn, readBytesPerS }: Depth): Promise<UnitVerdict> {
    const job = ++this.#last;
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const ask = setInterval(() => {
      if (!goOn()) Atomics.store(stop, 0, 1);
    }, askEveryMs);
    const order: ThreadOrder = {
      job,
      unit,
      deep,
      stop,
      ...(readBytesPerS === undefined ? {} : { readBytesPerS }),
    };
    clearTimeout(this.#idle);
    this.#worker.ref();
    try {
      return await new Promise<UnitVerdict>((resolve, reject) => {
        this.#jobs.set(job, { resolve, reject });
        this.#worker.postMessage(order);
      });
    } finally {
      clearInterval(ask);
      this.#jobs.delete(job);
      if (this.#jobs.size === 0) this.#rest();
    }
  }

  #take(answer: ThreadAnswer): void {
    if ('ready' in answer) return;
    const job = this.#jobs.get(answer.job);
    if ('verdict' in answer) job?.resolve(answer.verdict);
    else job?.reject(errorOf(answer.failure));
  }

  #rest(): void {
    this.#worker.unref();
    this.#idle = setTimeout(() => {
      this.#ended();
      void this.#worker.terminate();
    }, idleMs).unref();
  }

  #die(error: Error): void {
    clearTimeout(this.#idle);
    this.#ended();
    for (const job of this.#jobs.values()) job.reject(error);
  }
}

function firstWord(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once('message', () => resolve());
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('it ended at once')));
  });
}

function errorOf({ message, stack, code }: ThreadFailure): Error {
  const error = new Error(message);
  if (stack !== undefined) error.stack = stack;
  return code === undefined ? error : Object.assign(error, { code });
}
