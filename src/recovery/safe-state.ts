import { withKept } from '../checkpoints/include/with-kept.js';
import { openCheckpointFolders, type OpenFolder } from '../checkpoints/many/open.js';
import { openCheckpointStore } from '../checkpoints/open.js';
import type { Bad } from '../policy/bad.js';
import { isSameCheckpoint, isUsable } from '../policy/checkpoint.js';
import { chooseRollback, type RollbackChoice, type RollbackQuestion } from '../policy/rollback-choice.js';
import { checkpointRegistryOf } from '../runs/run-dir.js';
import type { CheckpointFact, CheckpointStore, Inspection } from '../supervisor/ports.js';
import { missingAncestor } from '../util/os/empty-dirs.js';
import { acquireLock } from '../util/os/lock.js';
import { ok, type Result } from '../util/result.js';
import { parseName } from './json-checkpoints-names.js';
import { clock, type FolderSettings, openToRead, optionsFor, verifyBudgetMs } from './safe-look.js';

/** What a rollback is wanted for. */
export interface SafeStateQuestion {
  /** Who asks, for those who want the folder meanwhile. */
  readonly holder: string;
  readonly rollbackEnabled: boolean;
  /** Nobody named the folder as one of checkpoints: nothing is moved in it, or made beside it. */
  readonly handsOff: boolean;
  /** From where on what was saved is not trusted. */
  readonly bad?: Bad;
  /** What was resumed from and may be to blame: one before it is wanted. */
  readonly doubted?: Doubted;
  /** There was a checkpoint. */
  readonly hadOne: boolean;
  readonly signal?: AbortSignal;
  readonly notice: (text: string) => void;
}

/** A checkpoint that the training was resumed from, and failed. */
export interface Doubted extends Pick<CheckpointFact, 'path' | 'modifiedAt'> {
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
  /** Why, in words; empty: there was nothing to do. */
  readonly reason: string;
  /** There were good checkpoints, and none of them may be resumed from: nothing was moved. */
  readonly stuck: boolean;
}

/**
 * Makes the newest checkpoint that can be trusted what is resumed from, by the transaction and under the lock that the
 * command uses: what is in the way goes into quarantine.
 * @returns exit 75 while a supervisor or somebody else holds a folder
 */
export async function goToSafeState(
  settings: FolderSettings,
  question: SafeStateQuestion,
): Promise<Result<SafeState>> {
  const { notice, handsOff } = question;
  const opened = await openCheckpointFolders(
    settings.dirs,
    (dir) => (handsOff ? openToRead(dir, settings, notice) : openLocked(dir, settings, question)),
    clock,
    notice,
  );
  if (!opened.ok) return opened;
  const { clean, stateDir } = settings;
  const store = await withKept(opened.value.store, { clean, stateDir, cwd: process.cwd(), notice });
  try {
    // what a rollback that was cut off left is finished first
    const finished = await store.recover();
    if (!finished.ok) return finished;
    finished.value.forEach(notice);
    return await choose(store, settings, question);
  } finally {
    await store.close();
    await opened.value.release();
  }
}

async function openLocked(
  dir: string,
  settings: FolderSettings,
  { holder, notice }: SafeStateQuestion,
): Promise<Result<OpenFolder>> {
  const opened = await openCheckpointStore({ ...optionsFor(dir, settings), onNotice: notice });
  if (!opened.ok) return opened;
  const store = opened.value;
  const { vault } = store;
  if (vault === undefined) return ok({ store, release: () => Promise.resolve() });
  // a program that no run of the command was started beside gets no state folder for it
  const hasState = (await missingAncestor(settings.stateDir)) === undefined;
  const lock = await acquireLock({
    ...{ kind: 'checkpoints', run: holder, dir: store.dir, keepIn: vault, onTrouble: notice },
    ...(hasState && { registry: checkpointRegistryOf(settings.stateDir) }),
  });
  if (lock.ok) return ok({ store, release: () => lock.value.release() });
  await store.close();
  return lock;
}

async function choose(
  store: CheckpointStore,
  settings: FolderSettings,
  question: SafeStateQuestion,
): Promise<Result<SafeState>> {
  const { bad, rollbackEnabled, handsOff, hadOne, doubted, signal } = question;
  const found = await store.inspect({ live: false, budgetMs: verifyBudgetMs, ...(signal && { signal }) });
  if (!found.ok) return found;
  const { disorder, foreign } = found.value;
  // what lies in the vault only cannot be put back without a rollback
  const checkpoints = found.value.checkpoints.filter(({ spare }) => !(handsOff && spare));
  // an emptied folder, or one whose file system is away, is a loss; where all is torn there never was a good one
  const had = hadOne || foreign.some(isOfManager);
  const lost = had && checkpoints.length === 0;
  const asked: RollbackQuestion = {
    ...{ checkpoints, guessed: false, rollbackEnabled, allowScratch: settings.allowScratch },
    ...{ everVerified: lost || checkpoints.some(({ standing }) => isUsable(standing)), mayBeginAnew: !had },
    ...(bad && { bad }),
    ...(disorder !== undefined && { disorder }),
  };
  const usual = await vetted(store, asked);
  if (!usual.ok) return usual;
  let choice = usual.value;
  const target = targetOf(choice);
  if (doubted && target && isDoubted(target, doubted)) {
    const { why } = doubted;
    const others = checkpoints.map((one): CheckpointFact =>
      isDoubted(one, doubted) ? { ...one, standing: 'suspect', why } : one,
    );
    const deeper = await vetted(store, { ...asked, checkpoints: others, everVerified: true });
    if (!deeper.ok) return deeper;
    if (deeper.value.type !== 'stuck' || doubted.last) choice = deeper.value;
  }
  const none = checkpoints.length === 0 ? noneIn(settings.dirs, foreign) : undefined;
  return goTo(store, choice, handsOff, none);
}

/** What newer good one was saved since it was resumed from is trusted, unless told otherwise. */
const isDoubted = (one: CheckpointFact, doubted: Doubted): boolean =>
  isSameCheckpoint(one, doubted) || (doubted.andSince && one.modifiedAt > doubted.modifiedAt);

/** Chooses a target whose bytes were read again: what its manifest says is believed only then. */
async function vetted(store: CheckpointStore, question: RollbackQuestion): Promise<Result<RollbackChoice>> {
  const damaged = new Map<string, string>();
  for (;;) {
    const choice = chooseRollback({
      ...question,
      checkpoints: question.checkpoints.map((one): CheckpointFact => {
        const why = damaged.get(one.id);
        return why === undefined ? one : { ...one, standing: 'corrupt', why };
      }),
    });
    const target = targetOf(choice);
    const read = target ? await store.vet(target.id) : ok(undefined);
    if (!read.ok) return read;
    if (!target || read.value === undefined) return ok(choice);
    damaged.set(target.id, read.value);
  }
}

const targetOf = (choice: RollbackChoice): CheckpointFact | undefined =>
  choice.type === 'keep' ? choice.resume : choice.type === 'roll-back' ? choice.target : undefined;

/** @param none there is no checkpoint, in words */
async function goTo(
  store: CheckpointStore,
  choice: RollbackChoice,
  handsOff: boolean,
  none: string | undefined,
): Promise<Result<SafeState>> {
  if (choice.type === 'stuck') {
    const reason = none ?? choice.reason.replace('pass --allow-scratch', 'set allowScratch');
    return ok({ path: null, moved: [], reason, stuck: true });
  }
  const target = targetOf(choice);
  const state = { path: target?.path ?? null, ...(target && { target }), moved: [], stuck: false };
  if (choice.type === 'keep') return ok({ ...state, reason: '' });
  const { moves, reason } = choice;
  if (handsOff) return ok({ ...state, reason });
  const done = await store.rollback({ moves, reason, ...(target && { target: target.id }) });
  if (!done.ok) return done;
  return ok({ ...state, moved: done.value.moved.map(({ id }) => id), reason });
}

const isOfManager = (name: string): boolean => parseName(name) !== undefined;

function noneIn(dirs: readonly string[], foreign: Inspection['foreign']): string {
  const where = dirs.join(', ');
  const [first] = foreign;
  if (first === undefined) return `the checkpoint folder ${where} is empty; ${wayOut}`;
  const saved = foreign.some(isOfManager) ? '; what a RecoveryManager saved is read with its loadCheckpoint' : ''; // prettier-ignore
  const more = foreign.length === 1 ? '' : ` and ${foreign.length - 1} more`;
  return `no file in ${where} was recognised as a checkpoint (there is ${first}${more})${saved}; ${wayOut}`;
}

/** What may be done where no checkpoint is found and there should be one. */
export const wayOut =
  'nothing was moved. Name the right folder in checkpoints.dir, put a good checkpoint back, or set allowScratch to train from the beginning';
