import type { Exit } from '../../failure/types.js';
import { attemptFiles } from './attempt-files.js';
import type { HostWatch } from './host-facts.js';
import { readLogEnd } from './log-end.js';
import type { LocalWorker } from './worker.js';

/** A worker that never came to be: it has ended already, and says how. Its pid is 0, which names no process. */
export function createEndedWorker(exit: Exit, attemptDir: string, host: HostWatch): LocalWorker {
  const files = attemptFiles(attemptDir);
  const nothing = (): void => undefined;
  return {
    pid: 0,
    alive: false,
    ended: Promise.resolve(exit),
    drain: () => Promise.resolve(),
    offsets: { out: 0, err: 0 },
    isSuspended: () => false,
    stop: nothing,
    kill: nothing,
    noteCheckpoint: nothing,
    dumpStacks: () => Promise.resolve(),
    tails: async (bytes) => await Promise.all([readLogEnd(files.err, bytes), readLogEnd(files.out, bytes)]),
    hostFacts: async () => await host.facts(new Set()),
  };
}
