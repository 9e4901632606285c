import { type CheckpointFact, isUsable } from '../policy/checkpoint.js';
import type { Watching } from './drill-attempt.js';
import type { Drill } from './drill-conduct.js';
import { systemClock } from './run-parts.js';

/** The folder is scanned at most this often, ms, and a scan may take a third of the time. */
const scanEveryMs = 100;
const scanCostFactor = 2;
/** A file rewritten all the time is never left alone: so long after it appeared it is taken as the kill leaves it, ms. */
const neverQuietMs = 3000;
/** How long a look may verify, ms. */
export const verifyBudgetMs = 5 * 60_000;

/** Waits for a checkpoint that a resumed attempt can be told from a fresh one by, and for the training to go on behind it. */
export function watchForCheckpoint({ store, say, aborted }: Pick<Drill, 'store' | 'say' | 'aborted'>): {
  enough(watching: Watching): Promise<boolean>;
  /** The step at which something was saved first; undefined: nothing was seen to be while it trained. */
  readonly savedAt: number | undefined;
} {
  let dueMono = 0;
  let since: { readonly mono: number; readonly step: number | undefined } | undefined;
  let complete: { readonly step: number | undefined } | undefined;
  return {
    get savedAt() {
      return since?.step;
    },
    async enough(watching) {
      const begunMono = systemClock.mono();
      if (begunMono < dueMono) return false;
      await watching.drain();
      const { step, firstStep } = watching.progress;
      const found = await store.inspect({
        live: true,
        budgetMs: verifyBudgetMs,
        signal: aborted,
        ...(step !== undefined && { step }),
      });
      const mono = systemClock.mono();
      dueMono = mono + Math.max(scanEveryMs, scanCostFactor * (mono - begunMono));
      if (!found.ok || found.value.checkpoints.length === 0) return false;
      since ??= { mono, step };
      const good = found.value.checkpoints.findLast((one) => isUsable(one.standing) && tells(one, firstStep));
      if (good && !complete) {
        complete = { step };
        say('note', `${good.id} is complete`);
      }
      const from = complete ?? (mono - since.mono > neverQuietMs ? since : undefined);
      return from !== undefined && (step === undefined || step > (from.step ?? 0));
    },
  };
}

/** One from the very first step looks the same whether it is resumed from or not. */
const tells = (one: CheckpointFact, firstStep: number | undefined): boolean =>
  one.step === undefined || firstStep === undefined || one.step > firstStep;
