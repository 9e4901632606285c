/** Nobody waits for it any more. */
export class Aborted extends Error {
  constructor({ reason }: AbortSignal) {
    super(reason instanceof Error ? reason.message : String(reason));
    this.name = 'Aborted';
  }
}

/**
 * What the work comes to, or at once {@link Aborted}. The work itself goes on; how it ends is then nobody's concern. No
 * listener stays on the signal.
 */
export async function unlessAborted<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new Aborted(signal));
    const settle = (): void => signal.removeEventListener('abort', abort);
    work.then(resolve, reject).finally(settle);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}

/** Calls once after `delayMs`; the answer takes it back. */
export type After = (delayMs: number, call: () => void) => () => void;

/** Waits, and takes its timer along when it is aborted. */
export async function waitFor(delayMs: number, after: After, signal: AbortSignal | undefined): Promise<void> {
  if (delayMs === 0) return;
  let cancel = (): void => undefined;
  const elapsed = new Promise<void>((resolve) => {
    cancel = after(delayMs, resolve);
  });
  try {
    await unlessAborted(signal, elapsed);
  } finally {
    cancel();
  }
}
