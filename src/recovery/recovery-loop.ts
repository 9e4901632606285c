import { Aborted, type After, unlessAborted, waitFor } from './abort.js';
import { Blocked, Stuck } from './blocked.js';
import { classifyReport } from './classify-report.js';
import type { RecoveryContext } from './context.js';
import { decideFailure } from './decide.js';
import type { RecoveryDecision, RecoveryFailure } from './decision.js';
import { reportOf } from './error-report.js';
import type { RecoveryRecord } from './recovery-record.js';
import type { RecursiveRecoveryEvent } from './recursive-types.js';
import type { SafeFolder } from './safe-folder.js';
import type { RecursiveSettings } from './settings.js';
import { isPoisonous, type RecoveryStrategy } from './strategies.js';

/** What a recovery works with. */
export interface LoopParts {
  readonly settings: RecursiveSettings;
  readonly folder: SafeFolder;
  readonly record: RecoveryRecord;
  readonly after: After;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly tell: (event: RecursiveRecoveryEvent) => void;
}

/** Judges, goes back, waits and tries again, until a try comes through or there is none worth it. */
export async function recoverLoop(
  parts: LoopParts,
  error: unknown,
  context: RecoveryContext,
): Promise<boolean> {
  const { record, tell } = parts;
  const { signal } = parts.settings;
  const firstAttempt = context.attempt ?? 0;
  let thrown = error;
  for (;;) {
    if (signal?.aborted) return giveUp(parts, `it was told to stop: ${new Aborted(signal).message}`);
    if (!(thrown instanceof Blocked)) context.error = thrown;
    const failure = thrown instanceof Blocked ? thrown.failure : classifyReport(reportOf(thrown));
    const strategy = await strategyFor(parts, failure, context);
    const decision = decide(parts, failure, strategy, context.step);
    if (!decision.retry) return giveUp(parts, decision.why);
    try {
      await tryAgain(parts, decision, strategy, context, firstAttempt);
      tell({ type: 'recovered', retries: record.status.attempts });
      return true;
    } catch (next) {
      if (next instanceof Stuck) return giveUp(parts, next.message);
      thrown = next;
    }
  }
}

async function strategyFor(
  { settings: { strategies } }: LoopParts,
  failure: RecoveryFailure,
  context: RecoveryContext,
): Promise<RecoveryStrategy> {
  const found =
    typeof strategies === 'function' ? await strategies(failure, context) : strategies[failure.kind];
  return found ?? {};
}

function decide(
  { settings, record, random, tell }: LoopParts,
  failure: RecoveryFailure,
  { retry, rollback }: RecoveryStrategy,
  step: number | undefined,
): RecoveryDecision {
  const { maxRetries, rollbackEnabled, backoff } = settings;
  const rule = { ...(retry !== undefined && { retry }), ...(rollback !== undefined && { rollback }) };
  const known = step === undefined ? {} : { step };
  const decision = decideFailure(failure, {
    ...{ maxRetries, rollbackEnabled, backoff, history: record.past, jitter: random() },
    ...{ ...known, rules: { [failure.kind]: rule } },
  });
  record.noteFailure(decision, step);
  tell({ type: 'failure', decision, ...known });
  return decision;
}

/** @throws whatever stands in the way of it: what `retry` throws, or a lack of the machine's */
async function tryAgain(
  parts: LoopParts,
  decision: RecoveryDecision,
  { prepare }: RecoveryStrategy,
  context: RecoveryContext,
  firstAttempt: number,
): Promise<void> {
  const { settings, folder, record, after, tell } = parts;
  const { signal, checkResources, retry } = settings;
  if (decision.rollback) await rollBack(parts, decision, context);
  if (decision.delayMs > 0) tell({ type: 'backing-off', delayMs: decision.delayMs });
  await waitFor(decision.delayMs, after, signal);
  if (checkResources !== false) await folder.checkRoom(context, decision.kind);
  if (typeof checkResources === 'function') {
    const lack = await unlessAborted(signal, Promise.resolve(checkResources(context, decision)));
    if (lack !== undefined) throw Blocked.lacking({ kind: decision.kind, words: lack });
  }
  if (signal?.aborted) throw new Aborted(signal);
  context.attempt = firstAttempt + record.noteAttempt();
  tell({ type: 'retry', attempt: context.attempt });
  const work = async (): Promise<void> => {
    await prepare?.(context, decision);
    await retry(context);
  };
  await unlessAborted(signal, work());
}

async function rollBack(
  { folder, tell }: LoopParts,
  { kind }: RecoveryDecision,
  context: RecoveryContext,
): Promise<void> {
  const bad = isPoisonous(kind) && context.step !== undefined ? { step: context.step } : undefined;
  const state = await folder.goBackIfKnown(context, bad);
  if (!state) return;
  const { path, moved, reason } = state;
  if (state.stuck) throw new Stuck(reason);
  tell({ type: 'rolled-back', path, moved, reason });
}

function giveUp({ record, tell }: LoopParts, why: string): false {
  record.note(`gave up: ${why}`);
  tell({ type: 'gave-up', why });
  return false;
}
