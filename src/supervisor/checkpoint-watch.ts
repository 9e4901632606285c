import { isUsable } from '../policy/checkpoint.js';
import type { CheckpointFact } from './ports.js';
import type { Loop } from './supervise.js';

/** The checkpoint folder of a living worker under watch. */
export interface CheckpointWatch {
  /** Looks at the folder once more, now. */
  look(): Promise<void>;
  /** Stops watching; settles when a scan under way is over. */
  close(): Promise<void>;
}

export interface CheckpointWatcher {
  /** Reads the worker's output to its present end: a checkpoint must not be ahead of the step that it was saved at. */
  drain(): Promise<void>;
  step(): number | undefined;
  healthy(): boolean;
  /** The folder changed: the worker lives. */
  grew(): void;
  /** A checkpoint became complete. */
  completed(): void;
}

/** A scan may take this share of the time at most: the next one waits 50 times as long as the last took. */
const scanCostFactor = 50;
/** After a change: how soon it is looked at, ms, and how many times as long as a scan takes. */
const soonMs = 100;
const soonCostFactor = 10;
/** How often something half-written that does not change is looked at before it is left to the regular scans. */
const mostPartialLooks = 5;

/**
 * Scans the folder when something changed in it (and was then left alone for the settle time) and every now and then
 * besides, since a file-system watch alone may miss things.
 */
export function watchCheckpoints(loop: Loop, watcher: CheckpointWatcher): CheckpointWatch | undefined {
  const { store, clock, scanEveryMs, settleMs } = loop.parts;
  if (!store) return undefined;
  const closing = new AbortController();
  let scanning: Promise<void> | undefined;
  let keeping: Promise<void> | undefined;
  let cancelTimer: (() => void) | undefined;
  let dueMono = Number.POSITIVE_INFINITY;
  let signature = '';
  let scans = 0;
  let lastCostMs = 0;
  let partialLooks = 0;
  let newest: string | undefined;
  let creditedMono = clock.mono();
  let creditedStep = watcher.step();

  async function scan(): Promise<void> {
    const startedMono = clock.mono();
    await watcher.drain();
    const step = watcher.step();
    const found = await store?.inspect({
      live: true,
      budgetMs: loop.parts.verifyBudgetMs,
      signal: closing.signal,
      ...(step !== undefined && { step }),
    });
    if (found?.ok) await take(found.value.checkpoints);
    else if (found) loop.parts.notice(found.error.message);
    lastCostMs = clock.mono() - startedMono;
    schedule(Math.max(scanEveryMs, scanCostFactor * lastCostMs));
  }

  async function take(checkpoints: readonly CheckpointFact[]): Promise<void> {
    // what the vault keeps is nothing that the worker did
    const live = checkpoints.filter((c) => !c.spare);
    const now = live.map((c) => `${c.id}:${c.sizeBytes}:${c.modifiedAt}`).join('\n');
    const first = scans++ === 0;
    if (!first && now !== signature) watcher.grew();
    partialLooks = now === signature ? partialLooks + 1 : 0;
    signature = now;
    loop.sawCheckpoints(checkpoints);
    const last = live.findLast((c) => isUsable(c.standing));
    const key = last && `${last.id}:${last.modifiedAt}`;
    if (last && key !== newest && last.ours) {
      newest = key;
      if (!first) watcher.completed();
      loop.post({ type: 'checkpoint-verified', checkpoint: last, ...(!first && { fresh: true }) });
    }
    // what is still being written is looked at again once it may have settled
    const partial = live.some((c) => c.standing === 'partial');
    if (partial && partialLooks < mostPartialLooks) schedule(settleMs);
    await credit();
    keep();
  }

  /** In the background, one at a time: a copy may take minutes. */
  function keep(): void {
    if (keeping || closing.signal.aborted || !loop.parts.policy.rollbackEnabled) return;
    keeping = store?.keep({ live: true, signal: closing.signal }).finally(() => {
      keeping = undefined;
    });
    if (keeping) loop.keep(keeping);
  }

  async function credit(): Promise<void> {
    const mono = clock.mono();
    const step = watcher.step();
    const ms = mono - creditedMono;
    const steps = step === undefined ? 0 : Math.max(0, step - (creditedStep ?? step));
    // time without steps proves nothing of a training that reports them, until its next step
    if (step !== undefined && steps === 0 && watcher.healthy()) return;
    creditedMono = mono;
    creditedStep = step;
    if (watcher.healthy()) await store?.credit({ ms, steps });
  }

  function schedule(delayMs: number): void {
    const at = clock.mono() + delayMs;
    if (closing.signal.aborted || at >= dueMono) return;
    dueMono = at;
    cancelTimer?.();
    cancelTimer = clock.after(delayMs, begin);
  }

  function begin(): void {
    dueMono = Number.POSITIVE_INFINITY;
    if (!closing.signal.aborted) loop.keep(look());
  }

  function look(): Promise<void> {
    if (closing.signal.aborted) return scanning ?? Promise.resolve();
    scanning ??= scan().finally(() => {
      scanning = undefined;
    });
    return scanning;
  }

  const unwatch = store.watch(() => {
    watcher.grew();
    schedule(Math.max(soonMs, soonCostFactor * lastCostMs));
  });
  schedule(0);
  return {
    look,
    async close() {
      closing.abort();
      cancelTimer?.();
      unwatch();
      await scanning;
      await keeping;
    },
  };
}
