import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import type { TestContext } from 'node:test';
import type { WorkerChange } from '../../src/recovery/ports.js';
import type { WorkerState } from '../../src/recovery/types.js';
import { files } from '../../src/util/os/durable.js';

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

/** Files of this name that are opened from now on are closed in the end, and say that they could not be. */
export function failClosing(t: TestContext, name: string, error: Error): void {
  const open = files.open;
  t.mock.method(files, 'open', async (...args: Parameters<typeof open>): Promise<FileHandle> => {
    const handle = await open(...args);
    if (path.basename(String(args[0])) !== name) return handle;
    const close = async (): Promise<never> => {
      await handle.close();
      throw error;
    };
    return new Proxy(handle, {
      get(target, key) {
        if (key === 'close') return close;
        const member: unknown = Reflect.get(target, key, target);
        return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      },
    });
  });
}
