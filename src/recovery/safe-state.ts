import path from 'node:path';
import { withKept } from '../checkpoints/include/with-kept.js';
import type { LayoutName } from '../checkpoints/layouts/registry.js';
import { openCheckpointFolders, type OpenFolder } from '../checkpoints/many/open.js';
import { openCheckpointStore, type OpenOptions } from '../checkpoints/open.js';
import { missingAncestor } from '../util/os/empty-dirs.js';
import type { Bad } from '../policy/bad.js';
import { isUsable } from '../policy/checkpoint.js';
import { chooseRollback, type RollbackChoice } from '../policy/rollback-choice.js';
import { checkpointRegistryOf } from '../runs/run-dir.js';
import type { CheckpointFact, CheckpointStore } from '../supervisor/ports.js';
import { mono } from '../util/os/boot.js';
import { acquireLock } from '../util/os/lock.js';
import { ok, type Result } from '../util/result.js';

/** Where checkpoints are, and how they are read. Paths absolute, times in ms. */
export interface FolderSettings extends Pick<
  OpenOptions,
  'vault' | 'settleMs' | 'provenAfterMs' | 'verify' | 'keep'
> {
  /** Empty: nobody named any. */
  readonly dirs: readonly string[];
  readonly layout: 'auto' | LayoutName;
  readonly clean: readonly string[];
  readonly stateDir: string;
  readonly allowScratch: boolean;
}

/** What a rollback is wanted for. */
export interface SafeStateQuestion {
  /** Who asks, for those who want the folder meanwhile. */
  readonly holder: string;
  readonly rollbackEnabled: boolean;
  /** From where on what was saved is not trusted. */
  readonly bad?: Bad;
  /** There was a checkpoint. */
  readonly hadOne: boolean;
  readonly signal?: AbortSignal;
  readonly notice: (text: string) => void;
}

export interface SafeState {
  /** What is resumed from; null: nothing can be trusted. */
  readonly path: string | null;
  /** Ids of what went into quarantine, the newest first. */
  readonly moved: readonly string[];
  /** Why, in words; empty: there was nothing to do. */
  readonly reason: string;
  /** There were good checkpoints, and none of them may be resumed from: nothing was moved. */
  readonly stuck: boolean;
}

/** How long verification may take before a choice is made, ms: as long as for `trainguard rollback`. */
const verifyBudgetMs = 30 * 60_000;
const clock = { now: Date.now, mono };

/**
 * Makes the newest checkpoint that can be trusted what is resumed from, by the transaction and under the lock that the
 * command uses: what is in the way goes into quarantine.
 * @returns exit 75 while a supervisor or somebody else holds a folder
 */
export async function goToSafeState(
  settings: FolderSettings,
  question: SafeStateQuestion,
): Promise<Result<SafeState>> {
  const { notice } = question;
  const opened = await openCheckpointFolders(
    settings.dirs,
    (dir) => openLocked(dir, settings, question),
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

const optionsFor = (
  dir: string,
  { vault, settleMs, provenAfterMs, verify, keep, layout }: FolderSettings,
): Omit<OpenOptions, 'onNotice'> => ({
  ...{ dir, layout, provenAfterMs, clock, guessed: false, runId: 'by-hand', runStartedAt: clock.now() },
  ...(vault !== undefined && { vault }),
  ...(settleMs !== undefined && { settleMs }),
  ...(verify && { verify }),
  ...(keep && { keep }),
});

async function choose(
  store: CheckpointStore,
  { allowScratch }: FolderSettings,
  { bad, rollbackEnabled, hadOne, signal }: SafeStateQuestion,
): Promise<Result<SafeState>> {
  const found = await store.inspect({ live: false, budgetMs: verifyBudgetMs, ...(signal && { signal }) });
  if (!found.ok) return found;
  const { checkpoints, disorder } = found.value;
  // an emptied folder, or one whose file system is away, is a loss; where all is torn there never was a good one
  const lost = hadOne && checkpoints.length === 0;
  const everVerified = lost || checkpoints.some(({ standing }) => isUsable(standing));
  const damaged = new Map<string, string>();
  for (;;) {
    const choice = chooseRollback({
      checkpoints: checkpoints.map((one): CheckpointFact => {
        const why = damaged.get(one.id);
        return why === undefined ? one : { ...one, standing: 'corrupt', why };
      }),
      ...{ guessed: false, rollbackEnabled, allowScratch, everVerified, mayBeginAnew: !hadOne },
      ...(bad && { bad }),
      ...(disorder !== undefined && { disorder }),
    });
    const target = targetOf(choice);
    // what its manifest says is believed only once its bytes were read again
    const vetted = target ? await store.vet(target.id) : ok(undefined);
    if (!vetted.ok) return vetted;
    if (target && vetted.value !== undefined) damaged.set(target.id, vetted.value);
    else return goTo(store, choice);
  }
}

const targetOf = (choice: RollbackChoice): CheckpointFact | undefined =>
  choice.type === 'keep' ? choice.resume : choice.type === 'roll-back' ? choice.target : undefined;

async function goTo(store: CheckpointStore, choice: RollbackChoice): Promise<Result<SafeState>> {
  if (choice.type === 'stuck') {
    const reason = choice.reason.replace('pass --allow-scratch', 'set allowScratch');
    return ok({ path: null, moved: [], reason, stuck: true });
  }
  const target = targetOf(choice);
  if (choice.type === 'keep') return ok({ path: target?.path ?? null, moved: [], reason: '', stuck: false });
  const { moves, reason } = choice;
  const done = await store.rollback({ moves, reason, ...(target && { target: target.id }) });
  if (!done.ok) return done;
  const moved = done.value.moved.map(({ id }) => id);
  return ok({ path: target?.path ?? null, moved, reason, stuck: false });
}

/** What the next checkpoint is likely to need, bytes: as much as the newest one there; undefined: nobody knows. */
export async function newestSize(dir: string, settings: FolderSettings): Promise<number | undefined> {
  const quiet = { readOnly: true, onNotice: (): void => undefined };
  const opened = await openCheckpointStore({ ...optionsFor(dir, settings), ...quiet });
  if (!opened.ok) return undefined;
  try {
    const found = await opened.value.inspect({ live: false, budgetMs: 0 });
    if (!found.ok) return undefined;
    const whole = found.value.checkpoints.filter(
      ({ standing }) => standing !== 'corrupt' && standing !== 'partial',
    );
    // one that is written over the last one needs no room besides
    const newest = whole.at(-1);
    return newest?.inPlace ? undefined : newest?.sizeBytes;
  } finally {
    await opened.value.close();
  }
}

/** The folders that are meant: those of the configuration, else the one that the last checkpoint lies in. */
export const foldersFor = (
  settings: FolderSettings,
  lastCheckpointPath: string | null | undefined,
): readonly string[] =>
  settings.dirs.length > 0 || typeof lastCheckpointPath !== 'string'
    ? settings.dirs
    : [path.dirname(path.resolve(lastCheckpointPath))];
