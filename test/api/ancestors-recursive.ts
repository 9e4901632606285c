import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { RecursiveTrainingRecovery, type RecoveryContext, type RecoveryKind } from '../../src/index.js';
import { lay, npz } from '../checkpoints/samples.js';
import type { TestEnd } from '../support/cleanup.js';
import { tempDir } from '../support/temp-dir.js';
import type { Check } from './ancestors-manager.js';

const soon = { initial: 0 };

/** The rows of docs/ancestors.md under RecursiveTrainingRecovery, for programs in TypeScript. */
export const recursiveRows: Readonly<Record<string, Check>> = {
  maxRetries: async () => {
    const calls: (number | undefined)[] = [];
    const retry = (context: RecoveryContext): void => {
      calls.push(context.attempt);
      throw new Error(`fault ${calls.length}`);
    };
    assert.equal(
      await new RecursiveTrainingRecovery({ retry, backoff: soon }).recover(new Error('x')),
      false,
    );
    assert.deepEqual(calls.splice(0), [1, 2, 3]);
    const once = new RecursiveTrainingRecovery({ retry, backoff: soon, maxRetries: 1 });
    assert.equal(await once.recover(new Error('x')), false);
    assert.deepEqual(calls, [1]);
  },

  rollbackEnabled: async (t) => {
    const torn = folder(t, { 'step-10.npz': npz(), 'step-20.npz': npz().subarray(0, 3000) });
    const off = recovering(torn, { rollbackEnabled: false });
    assert.equal(await off.recovery.recover(new Error('x')), true);
    assert.deepEqual(off.resumedFrom, [undefined]);
    assert.deepEqual(readdirSync(torn), ['step-10.npz', 'step-20.npz']);
    const on = recovering(torn);
    assert.equal(await on.recovery.recover(new Error('x')), true);
    assert.deepEqual(on.resumedFrom, [path.join(torn, 'step-10.npz')]);
    assert.deepEqual(readdirSync(torn), ['step-10.npz']);
  },

  recover: async () => {
    let faults = 2;
    const seen: unknown[] = [];
    const recovery = new RecursiveTrainingRecovery({
      backoff: soon,
      retry: ({ dataset }) => {
        seen.push(dataset);
        if (faults-- > 0) throw new Error(`fault ${faults}`);
      },
    });
    assert.equal(await recovery.recover(new Error('x'), { dataset: 'digits' }), true);
    assert.deepEqual(seen, ['digits', 'digits', 'digits'], 'fields of the caller stay');
    seen.length = 0;
    assert.equal(await recovery.recover(new Error('y'), { runId: 'r' }), true);
    assert.equal(await recovery.recover(Object.assign(new Error('x'), { exitCode: 127 })), false);
    assert.equal(seen.length, 1, 'no retry finds a command that is not there');
  },

  rollbackToSafeState: async (t) => {
    const torn = folder(t, { 'step-10.npz': npz(), 'step-20.npz': npz().subarray(0, 3000) });
    const { recovery } = recovering(torn);
    const context: RecoveryContext = {};
    const good = path.join(torn, 'step-10.npz');
    assert.equal(await recovery.rollbackToSafeState(context), good);
    assert.equal(context.lastCheckpointPath, good);
    assert.ok(existsSync(good));
    assert.equal(await recovering(folder(t, {})).recovery.rollbackToSafeState(), null);
  },

  'retry with backoff': async () => {
    const waits: number[] = [];
    const after = (delayMs: number, call: () => void): (() => void) => {
      waits.push(delayMs);
      queueMicrotask(call);
      return () => undefined;
    };
    const retry = (): void => {
      throw new Error(`fault ${waits.length}`);
    };
    const wait = async (backoff?: object): Promise<number[]> => {
      const config = { retry, maxRetries: 7, ...(backoff && { backoff }) };
      await new RecursiveTrainingRecovery(config, { after, random: () => 0 }).recover(new Error('x'));
      return waits.splice(0);
    };
    assert.deepEqual(
      await wait(),
      [10, 20, 40, 80, 160, 300, 300].map((seconds) => seconds * 1000),
    );
    const own = { initial: '1s', factor: 3, max: '20s' };
    assert.deepEqual(
      await wait(own),
      [1, 3, 9, 20, 20, 20, 20].map((seconds) => seconds * 1000),
    );
  },

  'resource checks': async (t) => {
    let asked = 0;
    const { recovery, resumedFrom } = recovering(folder(t, { 'step-10.npz': npz() }), {
      checkResources: () => (++asked === 1 ? 'no GPU is free' : undefined),
    });
    assert.equal(await recovery.recover(new Error('x')), true);
    assert.equal(asked, 2);
    assert.equal(resumedFrom.length, 1, 'no retry without them');
    assert.match(recovery.getRecoveryStatus().reasons.join('\n'), /no GPU is free/);
  },

  'strategy: out of memory': async () => {
    await usesStrategy('gpu-memory', new Error('CUDA out of memory. Tried to allocate 2.00 GiB'));
    await usesStrategy('host-memory', Object.assign(new Error('fork failed'), { code: 'ENOMEM' }));
  },
  'strategy: numeric': () => usesStrategy('numeric', new Error('loss is nan')),
  'strategy: checkpoint': () =>
    usesStrategy(
      'checkpoint',
      new Error('PytorchStreamReader failed reading zip archive: failed finding central directory'),
    ),
  'strategy: network': () => usesStrategy('network', new Error('connect ECONNREFUSED 10.0.0.7:29500')),
  'strategy: convergence': () => usesStrategy('convergence', new Error('training diverged at step 1200')),
  'strategy: anything else': () => usesStrategy('exception', new Error('the loader found no batch')),

  getRecoveryStatus: async () => {
    let faults = 1;
    const recovery = new RecursiveTrainingRecovery({
      backoff: soon,
      retry: () => {
        if (faults-- > 0) throw new Error('the second fault');
      },
    });
    await recovery.recover(new Error('the first fault'));
    const { attempts, reasons, recovering: isRecovering, lastFailure } = recovery.getRecoveryStatus();
    assert.deepEqual([attempts, isRecovering, reasons.length], [2, false, 2]);
    assert.match(reasons[0] ?? '', /the first fault/);
    assert.match(reasons[1] ?? '', /the second fault/);
    assert.equal(lastFailure?.kind, 'exception');
  },

  lastRecoveryStatus: async () => {
    let works = true;
    const recovery = new RecursiveTrainingRecovery({
      backoff: soon,
      retry: () => {
        if (!works) throw new Error('x');
      },
    });
    const last = (): string | null => recovery.getRecoveryStatus().lastRecoveryStatus;
    assert.equal(last(), null);
    await recovery.recover(new Error('x'));
    assert.equal(last(), 'success');
    works = false;
    await recovery.recover(new Error('x'));
    assert.equal(last(), 'failed');
  },

  'context.runId': async () => {
    const { recovery, release } = held();
    const first = recovery.recover(new Error('x'), { runId: 'digits' });
    const joins = recovery.recover(new Error('y'), { runId: 'digits' });
    await assert.rejects(recovery.recover(new Error('z'), { runId: 'letters' }), /run digits .* run letters/);
    release();
    assert.deepEqual(await Promise.all([first, joins]), [true, true]);
  },

  'context.attempt': async () => {
    const context: RecoveryContext = { attempt: 4 };
    const seen: (number | undefined)[] = [];
    const retry = ({ attempt }: RecoveryContext): void => {
      if (seen.push(attempt) < 2) throw new Error('y');
    };
    assert.equal(await new RecursiveTrainingRecovery({ retry, backoff: soon }).recover(new Error('x'), context), true); // prettier-ignore
    assert.deepEqual([seen, context.attempt], [[5, 6], 6]);
    await names('attempt', { attempt: -1 });
  },

  'context.step': async (t) => {
    const dir = folder(t, { 'step-10.npz': npz(1), 'step-20.npz': npz(2), 'step-30.npz': npz(3) });
    const { recovery, resumedFrom } = recovering(dir);
    assert.equal(await recovery.recover(new Error('loss is nan'), { step: 25 }), true);
    assert.deepEqual(resumedFrom, [path.join(dir, 'step-20.npz')]);
    let retries = 0;
    const same = (): void => {
      retries++;
      throw fault;
    };
    const fault = new Error('x');
    const again = new RecursiveTrainingRecovery({ retry: same, backoff: soon, maxRetries: 9 });
    assert.equal(await again.recover(fault, { step: 7 }), false);
    assert.equal(retries, 2);
    await names('step', { step: 'ten' });
  },

  'context.epoch': async () => {
    assert.equal((await handed({ epoch: 2.5 })).epoch, 2.5);
    await tells('epoch', { epoch: -1 });
  },

  'context.modelId': async () => {
    assert.equal((await handed({ modelId: 'resnet-18' })).modelId, 'resnet-18');
    await tells('modelId', { modelId: 18 });
  },

  'context.lastCheckpointPath': async (t) => {
    const dir = folder(t, { 'step-10.npz': npz(1), 'step-20.npz': npz(2) });
    // where the checkpoints are, unless `checkpoints.dir` says so
    const context: RecoveryContext = { lastCheckpointPath: path.join(dir, 'step-10.npz') };
    const recovery = new RecursiveTrainingRecovery({ retry: () => undefined, backoff: soon });
    assert.equal(await recovery.recover(new Error('x'), context), true);
    assert.equal(context.lastCheckpointPath, path.join(dir, 'step-20.npz'));
    await names('lastCheckpointPath', { lastCheckpointPath: 20 });
  },

  'context.error': async () => {
    const [first, second] = [new Error('x'), new Error('y')];
    const seen: unknown[] = [];
    const retry = ({ error }: RecoveryContext): void => {
      if (seen.push(error) < 2) throw second;
    };
    assert.equal(await new RecursiveTrainingRecovery({ retry, backoff: soon }).recover(first, {}), true);
    assert.deepEqual(seen, [first, second]);
  },
};

function folder(t: TestEnd, files: Readonly<Record<string, Buffer>>): string {
  const dir = path.join(tempDir(t), 'checkpoints');
  mkdirSync(dir);
  lay(dir, files);
  return dir;
}

/** A recovery of a training whose next attempt comes through, and what that resumed from. */
function recovering(
  dir: string,
  more: Partial<ConstructorParameters<typeof RecursiveTrainingRecovery>[0]> = {},
): { recovery: RecursiveTrainingRecovery; resumedFrom: unknown[] } {
  const resumedFrom: unknown[] = [];
  const retry = ({ lastCheckpointPath }: RecoveryContext): void => void resumedFrom.push(lastCheckpointPath);
  return {
    recovery: new RecursiveTrainingRecovery({ retry, backoff: soon, checkpoints: { dir }, ...more }),
    resumedFrom,
  };
}

/** One whose retry ends when it is released. */
function held(): { recovery: RecursiveTrainingRecovery; release: () => void } {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  return { recovery: new RecursiveTrainingRecovery({ retry: () => released, backoff: soon }), release };
}

/** What `retry` gets. */
async function handed(context: RecoveryContext): Promise<RecoveryContext> {
  const got: RecoveryContext[] = [];
  const retry = (given: RecoveryContext): void => void got.push(given);
  await new RecursiveTrainingRecovery({ retry, backoff: soon }).recover(new Error('x'), context);
  assert.equal(got[0], context);
  return context;
}

/** What only the caller reads is no reason not to recover. */
async function tells(field: string, context: Readonly<Record<string, unknown>>): Promise<void> {
  const told: string[] = [];
  const recovery = new RecursiveTrainingRecovery({
    ...{ retry: () => undefined, backoff: soon },
    onEvent: (event) => (event.type === 'notice' ? told.push(event.text) : undefined),
  });
  assert.equal(await recovery.recover(new Error('x'), { ...context }), true);
  assert.ok(
    told.some((text) => text.startsWith(`context.${field} is `)),
    told.join(),
  );
}

async function names(field: string, context: Readonly<Record<string, unknown>>): Promise<void> {
  const recovery = new RecursiveTrainingRecovery({ retry: () => undefined, backoff: soon });
  await assert.rejects(recovery.recover(new Error('x'), context), (error: Error) => {
    assert.ok(error instanceof TypeError);
    assert.match(error.message, new RegExp(String.raw`\b${field}\b`));
    return true;
  });
}

/** The error is of the kind, and what is given for the kind is done instead of the usual. */
async function usesStrategy(kind: RecoveryKind, error: Error): Promise<void> {
  const done: string[] = [];
  const retry = (): void => void done.push('retry');
  const prepare = (_: RecoveryContext, failure: { readonly kind: string }): void =>
    void done.push(`prepare for ${failure.kind}`);
  const prepared = new RecursiveTrainingRecovery({
    retry,
    backoff: soon,
    strategies: { [kind]: { prepare } },
  });
  assert.equal(await prepared.recover(error), true);
  assert.deepEqual(done.splice(0), [`prepare for ${kind}`, 'retry']);
  const refused = new RecursiveTrainingRecovery({
    retry,
    backoff: soon,
    strategies: { [kind]: { retry: false } },
  });
  assert.equal(await refused.recover(error), false);
  assert.deepEqual(done, []);
}
