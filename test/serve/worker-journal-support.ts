import type { WorkerChange } from '../../src/recovery/ports.js';
import type { WorkerState } from '../../src/recovery/types.js';

export const limits = { heartbeatTimeoutMs: 15_000, maxFailures: 3 };

/** A worker as it is after it named a batch, at that many ms. */
export const beating = (
  workerId: string,
  batch: number,
  more: Partial<WorkerState> = {},
): WorkerChange & { readonly type: 'worker' } => ({
  type: 'worker',
  worker: {
    workerId,
    status: 'active',
    lastCheckpoint: null,
    failureCount: 0,
    lastHeartbeat: 1_795_000_000_000 + batch,
    currentBatch: batch,
    ...more,
  },
  limits,
});
