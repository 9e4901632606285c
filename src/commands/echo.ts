import path from 'node:path';
import { pumpFile } from '../util/os/follow.js';
import { formatBytes } from '../util/text.js';

/** Where the training's output goes on the user's side. `write` settles when the sink can take more. */
export interface EchoSinks {
  out(chunk: Uint8Array): Promise<void>;
  err(chunk: Uint8Array): Promise<void>;
}

/** Passes the training's output through, attempt by attempt, each stream by its own reader. */
export interface Echo {
  /** A new attempt begins; what is left of the one before is passed on first. */
  follow(attemptDir: string, from?: { readonly out: number; readonly err: number }): void;
  /** The attempt is over: reads to the end of its logs. */
  attemptEnded(): void;
  /** Settles when all was passed on, or when nothing moved for `patienceMs` (a terminal that stands still). */
  finish(patienceMs: number): Promise<void>;
}

/** Passes nothing on. */
export const noEcho: Echo = {
  follow: () => undefined,
  attemptEnded: () => undefined,
  finish: () => Promise.resolve(),
};

/** Reads the log files like anyone else would, so a slow terminal delays neither the training nor its supervision. */
export function createEcho(sinks: EchoSinks, trouble: (text: string) => void): Echo {
  let moved = 0;
  let ended: (() => void) | undefined;
  let tail: Promise<void> = Promise.resolve();
  const abort = new AbortController();

  function follow(attemptDir: string, from = { out: 0, err: 0 }): void {
    ended?.();
    const attempt = { over: false };
    ended = () => {
      attempt.over = true;
    };
    const pump = (stream: 'out' | 'err'): Promise<unknown> =>
      pumpFile(
        path.join(attemptDir, `worker-0.${stream}.log`),
        from[stream],
        async (chunk) => {
          await sinks[stream](chunk);
          moved += chunk.length;
        },
        {
          ended: () => attempt.over,
          signal: abort.signal,
          released: (bytes) =>
            sinks.err(
              Buffer.from(`[${formatBytes(bytes)} of output were released before they could be shown]\n`),
            ),
        },
      ).catch((error: unknown) => trouble(`the output of the training could not be shown: ${String(error)}`));
    tail = tail.then(async () => {
      await Promise.all([pump('out'), pump('err')]);
    });
  }

  return {
    follow,
    attemptEnded: () => ended?.(),
    async finish(patienceMs) {
      ended?.();
      const all = tail.then(() => 'all' as const);
      for (let last = -1; moved !== last;) {
        last = moved;
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<'late'>((resolve) => {
          timer = setTimeout(resolve, patienceMs, 'late');
        });
        const first = await Promise.race([all, late]);
        clearTimeout(timer);
        if (first === 'all') break;
      }
      abort.abort();
    },
  };
}
