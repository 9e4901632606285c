import { Aborted, type After, unlessAborted, waitFor } from './abort.js';
import { Blocked, Stuck } from './blocked.js';
import { classifyReport } from './classify-report.js';
import { oddFields, type RecoveryContext, stepOf } from './context.js';
import { decideFailure } from './decide.js';
import type { RecoveryDecision, RecoveryFailure } from './decision.js';
import { reportOf } from './error-report.js';
import type { RecoveryRecord } from './recovery-record.js';
import type { RecursiveRecoveryEvent } from './recursive-types.js';
import { type SafeFolder, unknownFolder, type Wish } from './safe-folder.js';
import type { RecursiveSettings } from './settings.js';
import { isOfTheState, isPoisonous, type RecoveryStrategy } from './strategies.js';

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
    if (signal?.aborted) return giveUp(parts, context, `it was told to stop: ${new Aborted(signal).message}`);
    for (const text of oddFields(context)) tell({ type: 'notice', text });
    // a retry that could not begin says nothing of the training
    const blocked = thrown instanceof Blocked ? thrown.failure : undefined;
    if (!blocked) context.error = thrown;
    const failure = blocked ?? classifyReport(reportOf(thrown));
    if (!blocked && (await gotFurther(parts, failure, context))) {
      record.noteProgress();
      parts.folder.noteProgress();
    }
    const doubts = blocked ? 0 : record.noteDoubt(isOfTheState(failure.kind));
    const strategy = await strategyFor(parts, failure, context);
    if (signal?.aborted) continue;
    const decision = decide(parts, failure, strategy, stepOf(context));
    if (!decision.retry) return giveUp(parts, context, decision.why);
    const isStuck = doubts >= mostDoubts && strategy.retry !== true;
    if (isStuck && !(decision.rollback && parts.folder.isKnown(context)))
      return giveUp(parts, context, `${failure.kind} ${doubts} times without getting further, and nothing is gone back to: a retry would end the same way`); // prettier-ignore
    try {
      await tryAgain(parts, { decision, strategy, doubts, firstAttempt }, context);
      parts.folder.noteProgress();
      tell({ type: 'recovered', retries: record.status.attempts });
      return true;
    } catch (next) {
      if (next instanceof Stuck) return giveUp(parts, context, next.message);
      thrown = next;
    }
  }
}

/** So often in a row a training may fail of what it was resumed from, where it cannot go further back. */
const mostDoubts = 3;

/** Whether the training got further than at any failure before: by its checkpoints, else by its steps. */
async function gotFurther(
  { folder, record, tell }: LoopParts,
  { kind }: RecoveryFailure,
  context: RecoveryContext,
): Promise<boolean> {
  const further = await folder.gotFurther(context, wishFor(kind, context), record.past.length === 0);
  if (typeof further === 'boolean') return further;
  // by its time alone a checkpoint is further in a circle too
  const isBeyond = record.isBeyond(stepOf(context));
  if (further === 'newer' && !isBeyond) tell({ type: 'notice', text: notBeyond });
  return isBeyond;
}

const notBeyond =
  'a newer checkpoint is there, but context.step is not beyond that of earlier failures: the retries are not counted anew; keep context.step current';

/** After numbers that went bad, what was saved from then on is not trusted. */
function wishFor(kind: RecoveryFailure['kind'], context: RecoveryContext): Wish {
  const step = stepOf(context);
  const poisonous = isPoisonous(kind);
  return { poisonous, ...(poisonous && step !== undefined && { bad: { step } }) };
}

async function strategyFor(
  { settings: { strategies, signal }, tell }: LoopParts,
  failure: RecoveryFailure,
  context: RecoveryContext,
): Promise<RecoveryStrategy> {
  if (typeof strategies !== 'function') return strategies[failure.kind] ?? {};
  try {
    return (await unlessAborted(signal, Promise.resolve(strategies(failure, context)))) ?? {};
  } catch (error) {
    if (!signal?.aborted)
      tell({ type: 'notice', text: `strategies threw, so the usual is done: ${String(error)}` });
    return {};
  }
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

/** A retry that was decided on. */
interface Try {
  readonly decision: RecoveryDecision;
  readonly strategy: RecoveryStrategy;
  /** How often in a row the training failed of what it may have been resumed from. */
  readonly doubts: number;
  readonly firstAttempt: number;
}

/** @throws whatever stands in the way of it: what `retry` throws, or a lack of the machine's */
async function tryAgain(parts: LoopParts, one: Try, context: RecoveryContext): Promise<void> {
  const { decision, strategy, firstAttempt } = one;
  const { settings, folder, record, after, tell } = parts;
  const { signal, checkResources, retry } = settings;
  if (decision.rollback) await rollBack(parts, one, context);
  if (decision.delayMs > 0) tell({ type: 'backing-off', delayMs: decision.delayMs });
  await waitFor(decision.delayMs, after, signal);
  if (checkResources !== false) await folder.checkRoom(context, decision.kind);
  if (typeof checkResources === 'function') {
    const lack = await unlessAborted(signal, Promise.resolve(checkResources(context, decision)));
    if (lack) throw Blocked.lacking({ kind: decision.kind, words: lack });
  }
  if (signal?.aborted) throw new Aborted(signal);
  context.attempt = firstAttempt + record.noteAttempt();
  tell({ type: 'retry', attempt: context.attempt });
  const work = async (): Promise<void> => {
    await strategy.prepare?.(context, decision);
    folder.noteResume(decision.rollback);
    await retry(context);
  };
  try {
    await unlessAborted(signal, work());
  } finally {
    record.noteAttemptOver();
  }
}

async function rollBack(
  { folder, record, tell }: LoopParts,
  { decision: { kind }, doubts }: Try,
  context: RecoveryContext,
): Promise<void> {
  const state = await folder.goBackIfKnown(context, {
    ...wishFor(kind, context),
    ...(doubts > 0 && { doubt: { why: doubtWords(kind), last: doubts >= mostDoubts } }),
  });
  if (!state) {
    const text = `nothing is rolled back: ${unknownFolder}. trainguard knows of no checkpoint, so retry is told of none: it must know by itself where to go on, or it trains from the beginning`;
    // there is something to lose
    if ((stepOf(context) ?? 0) > 0) record.note(text);
    tell({ type: 'notice', text });
    return;
  }
  const { path, moved, reason } = state;
  if (state.stuck) throw new Stuck(reason);
  if (path === null) {
    const none = state.none ?? `there is no checkpoint in ${state.dirs.join(', ')} to go back to`;
    const text = `${none}: from the beginning`;
    record.note(text);
    tell({ type: 'notice', text });
  }
  tell({ type: 'rolled-back', path, moved, reason });
}

const doubtWords = (kind: RecoveryFailure['kind']): string =>
  kind === 'checkpoint'
    ? 'the training could not load it, though its bytes look good'
    : 'the training failed after it resumed from it, and saved none since';

async function giveUp(
  { record, tell, folder, settings: { signal } }: LoopParts,
  context: RecoveryContext,
  why: string,
): Promise<false> {
  // who was told to stop may still be saving
  const undone = signal?.aborted ? undefined : await folder.giveUp(context);
  if (undone !== undefined) {
    record.note(undone);
    tell({ type: 'notice', text: undone });
  }
  record.note(`gave up: ${why}`);
  tell({ type: 'gave-up', why });
  return false;
}
