import { openIntents } from '../checkpoints/rollback/journal.js';
import type { Bad } from '../policy/bad.js';
import { isSameCheckpoint, isUsable } from '../policy/checkpoint.js';
import { chooseRollback, type RollbackChoice, type RollbackQuestion } from '../policy/rollback-choice.js';
import type { CheckpointFact, CheckpointStore, Inspection } from '../supervisor/ports.js';
import { ok, type Result } from '../util/result.js';
import { Aborted, unlessAborted } from './abort.js';
import { type GoneBack, isAmong, type Place } from './gone-back.js';
import { type FolderSettings, verifyBudgetMs } from './safe-look.js';
import { inFolders, type Visit } from './safe-open.js';
import { hadGoodOne, type Known, noneToTrust, wayOut } from './safe-words.js';

/** What a rollback is wanted for. */
export interface SafeStateQuestion extends Visit, Known {
  readonly rollbackEnabled: boolean;
  /** From where on what was saved is not trusted. */
  readonly bad?: Bad;
  /** What was resumed from and may be to blame: one before it is wanted. */
  readonly doubted?: Doubted;
  /** What was gone back past before, and could not be moved. */
  readonly passed: readonly Place[];
  readonly signal?: AbortSignal;
}

/** A checkpoint that the training was resumed from, and failed. */
export interface Doubted extends Place {
  /** Why it may be to blame, in words. */
  readonly why: string;
  /** Nor is what was saved since then trusted. */
  readonly andSince: boolean;
  /** Where there is none before it, it is not tried once more. */
  readonly last: boolean;
}

export interface SafeState {
  /** What is resumed from; null: nothing can be trusted. */
  readonly path: string | null;
  readonly target?: CheckpointFact;
  /** Ids of what went into quarantine, the newest first. */
  readonly moved: readonly string[];
  /** What was gone back past, if anything. */
  readonly past?: GoneBack;
  /** Why, in words; empty: there was nothing to do. */
  readonly reason: string;
  /** There may have been good checkpoints, and none may be resumed from: nothing was moved. */
  readonly stuck: boolean;
  /** Why there is none to resume from, in words. */
  readonly none?: string;
}

/**
 * Makes the newest checkpoint that can be trusted what is resumed from, by the transaction and under the lock that the
 * command uses: what is in the way goes into quarantine.
 * @returns exit 75 while a supervisor or somebody else holds a folder
 * @throws Aborted before anything is moved, where nobody waits for it any more
 */
export async function goToSafeState(
  settings: FolderSettings,
  question: SafeStateQuestion,
): Promise<Result<SafeState>> {
  return inFolders(settings, question, (store) => choose(store, settings, question));
}

async function choose(
  store: CheckpointStore,
  settings: FolderSettings,
  question: SafeStateQuestion,
): Promise<Result<SafeState>> {
  const { bad, rollbackEnabled, handsOff, doubted, signal } = question;
  const look = { live: false, budgetMs: verifyBudgetMs, ...(signal && { signal }) };
  const found = await unlessAborted(signal, store.inspect(look));
  if (!found.ok) return found;
  const { disorder, foreign } = found.value;
  const seen = handsOff ? await toResumeFrom(store, question, found.value) : ok(found.value.checkpoints);
  if (!seen.ok) return seen;
  const checkpoints = seen.value;
  const had = hadGoodOne(question, checkpoints, foreign);
  const everGood = found.value.checkpoints.some(
    ({ standing, spare }) => isUsable(standing) && !(handsOff && spare),
  );
  const asked: RollbackQuestion = {
    ...{ checkpoints, guessed: false, rollbackEnabled, allowScratch: settings.allowScratch },
    ...{ everVerified: had || everGood, mayBeginAnew: !had },
    ...(bad && { bad }),
    ...(disorder !== undefined && { disorder }),
  };
  const damaged = new Map<string, string>();
  const usual = await vetted(store, asked, damaged, signal);
  if (!usual.ok) return usual;
  let choice = usual.value;
  let isDeeper = false;
  const target = targetOf(choice);
  if (doubted && target && isDoubted(target, doubted)) {
    const { why } = doubted;
    const others = checkpoints.map((one): CheckpointFact =>
      isDoubted(one, doubted) ? { ...one, standing: 'suspect', why } : one,
    );
    const again = { ...asked, checkpoints: others, everVerified: true };
    const deeper = await vetted(store, again, damaged, signal);
    if (!deeper.ok) return deeper;
    isDeeper = deeper.value.type === 'roll-back';
    if (deeper.value.type === 'roll-back')
      choice = { ...deeper.value, reason: `${target.id} is suspect: ${why}` };
    else if (deeper.value.type !== 'stuck' || doubted.last) choice = deeper.value;
  }
  if (signal?.aborted) throw new Aborted(signal);
  const none = noneToTrust(settings.dirs, marked(checkpoints, damaged), foreign);
  // where nothing is rolled back nothing was asked of it, but to begin anew is a loss all the same
  if (choice.type === 'keep' && !choice.resume && had && !settings.allowScratch)
    choice = {
      type: 'stuck',
      reason: `no checkpoint in ${settings.dirs.join(', ')} can be trusted; ${wayOut}`,
    };
  return goTo(store, choice, { checkpoints, isDeeper, none, ...question });
}

/** Where nothing can be moved: without what was gone back past before, or is about to be moved by another rollback. */
async function toResumeFrom(
  store: CheckpointStore,
  { passed }: SafeStateQuestion,
  { checkpoints }: Inspection,
): Promise<Result<readonly CheckpointFact[]>> {
  const cutOff = store.vault === undefined ? ok([]) : await openIntents(store.vault);
  if (!cutOff.ok) return cutOff;
  const leaving = new Set(cutOff.value.flatMap(({ moves }) => moves.map(({ id }) => id)));
  // what lies in the vault only cannot be put back without a rollback
  const there = checkpoints.filter(({ spare }) => !spare);
  return ok(
    there.map((one): CheckpointFact => {
      const why = isAmong(one, passed)
        ? 'it was gone back past before'
        : leaving.has(one.id) && 'a rollback that was cut off moves it away';
      return why === false ? one : { ...one, standing: 'suspect', why };
    }),
  );
}

/** What newer good one was saved since it was resumed from is trusted, unless told otherwise. */
const isDoubted = (one: CheckpointFact, doubted: Doubted): boolean =>
  isSameCheckpoint(one, doubted) || (doubted.andSince && one.modifiedAt > doubted.modifiedAt);

/**
 * Chooses a target whose bytes were read again: what its manifest says is believed only then.
 * @param damaged ids of what turned out to be damaged, and why; gets those that do
 */
async function vetted(
  store: CheckpointStore,
  question: RollbackQuestion,
  damaged: Map<string, string>,
  signal: AbortSignal | undefined,
): Promise<Result<RollbackChoice>> {
  for (;;) {
    const choice = chooseRollback({ ...question, checkpoints: marked(question.checkpoints, damaged) });
    const target = targetOf(choice);
    const read = target ? await unlessAborted(signal, store.vet(target.id)) : ok(undefined);
    if (!read.ok) return read;
    if (!target || read.value === undefined) return ok(choice);
    damaged.set(target.id, read.value);
  }
}

const marked = (
  checkpoints: readonly CheckpointFact[],
  damaged: ReadonlyMap<string, string>,
): readonly CheckpointFact[] =>
  checkpoints.map((one): CheckpointFact => {
    const why = damaged.get(one.id);
    return why === undefined ? one : { ...one, standing: 'corrupt', why };
  });

const targetOf = (choice: RollbackChoice): CheckpointFact | undefined =>
  choice.type === 'keep' ? choice.resume : choice.type === 'roll-back' ? choice.target : undefined;

interface Going extends SafeStateQuestion {
  readonly checkpoints: readonly CheckpointFact[];
  /** It goes further back than damage calls for. */
  readonly isDeeper: boolean;
  /** There is none, or none that is whole, in words. */
  readonly none: string | undefined;
}

async function goTo(
  store: CheckpointStore,
  choice: RollbackChoice,
  { checkpoints, isDeeper, none, handsOff, passed: before }: Going,
): Promise<Result<SafeState>> {
  if (choice.type === 'stuck') {
    const reason =
      none === undefined ? choice.reason.replace('pass --allow-scratch', 'set allowScratch') : `${none}; ${wayOut}`; // prettier-ignore
    return ok({ path: null, moved: [], reason, stuck: true });
  }
  const target = targetOf(choice);
  const state = {
    ...{ path: target?.path ?? null, moved: [], stuck: false },
    ...(target ? { target } : none !== undefined && { none }),
  };
  if (choice.type === 'keep') return ok({ ...state, reason: '' });
  const { moves, reason } = choice;
  const passed = checkpoints.filter((one) => moves.includes(one.id) && !isAmong(one, before)).map(placeOf);
  const left = checkpoints.filter(({ id, spare }) => !moves.includes(id) && (!spare || id === target?.id)).map(placeOf); // prettier-ignore
  const past: GoneBack = { deeper: isDeeper, passed, left };
  if (handsOff) return ok({ ...state, reason, past });
  const done = await store.rollback({ moves, reason, ...(target && { target: target.id }) });
  if (!done.ok) return done;
  const { tx, moved } = done.value;
  return ok({ ...state, moved: moved.map(({ id }) => id), reason, past: { ...past, tx } });
}

const placeOf = ({ path, modifiedAt }: CheckpointFact): Place => ({ path, modifiedAt });
