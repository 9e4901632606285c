import path from 'node:path';
import type { LayoutName } from '../checkpoints/layouts/registry.js';
import { openCheckpointFolders, type OpenFolder } from '../checkpoints/many/open.js';
import { openCheckpointStore, type OpenOptions } from '../checkpoints/open.js';
import { type Bad, isBefore } from '../policy/bad.js';
import { type CheckpointFact, isFurther, isUsable } from '../policy/checkpoint.js';
import { mono } from '../util/os/boot.js';
import { ok, type Result } from '../util/result.js';
import { isAmong, type Place } from './gone-back.js';

// Looks at checkpoint folders that change nothing.

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

/** How long verification may take before a choice is made, ms: as long as for `trainguard rollback`. */
export const verifyBudgetMs = 30 * 60_000;
export const clock = { now: Date.now, mono };

export const optionsFor = (
  dir: string,
  { vault, settleMs, provenAfterMs, verify, keep, layout }: FolderSettings,
): Omit<OpenOptions, 'onNotice'> => ({
  ...{ dir, layout, provenAfterMs, clock, guessed: false, runId: 'by-hand', runStartedAt: clock.now() },
  ...(vault !== undefined && { vault }),
  ...(settleMs !== undefined && { settleMs }),
  ...(verify && { verify }),
  ...(keep && { keep }),
});

/** Opens one to read in: nothing is made, held or written. */
export async function openToRead(
  dir: string,
  settings: FolderSettings,
  onNotice: (text: string) => void,
): Promise<Result<OpenFolder>> {
  const opened = await openCheckpointStore({ ...optionsFor(dir, settings), readOnly: true, onNotice });
  return opened.ok ? ok({ store: opened.value, release: () => Promise.resolve() }) : opened;
}

/** What a newest checkpoint is wanted to be. */
export interface Wanted {
  /** It must lie further than this one; undefined: any will do. */
  readonly past: CheckpointFact | undefined;
  /** Nor may it be one of these. */
  readonly passed: readonly Place[];
  /** From where on what was saved is not trusted. */
  readonly bad: Bad | undefined;
  /** Its bytes are read, unless that was done before. */
  readonly proven: boolean;
  readonly signal?: AbortSignal;
}

/** The newest good checkpoint of that kind. Of a folder that cannot be read nothing is known: then undefined as well. */
export async function newestGood(
  settings: FolderSettings,
  dirs: readonly string[],
  { past, passed, bad, proven, signal }: Wanted,
): Promise<CheckpointFact | undefined> {
  const opened = await openCheckpointFolders(dirs, (dir) => openToRead(dir, settings, unsaid), clock, unsaid);
  if (!opened.ok) return undefined;
  const { store } = opened.value;
  const find = async (budgetMs: number): Promise<CheckpointFact | undefined> => {
    const found = await store.inspect({ live: false, budgetMs, ...(signal && { signal }) });
    if (!found.ok) return undefined;
    const mayDo = (one: CheckpointFact): boolean =>
      isUsable(one.standing) || (budgetMs === 0 && one.standing === 'complete');
    const newest = found.value.checkpoints.findLast(
      (one) => mayDo(one) && !one.spare && !(bad && isBefore(one, bad) === false) && !isAmong(one, passed),
    );
    return newest && isFurther(newest, past) ? newest : undefined;
  };
  try {
    const likely = await find(0);
    return likely && proven && !isUsable(likely.standing) ? await find(verifyBudgetMs) : likely;
  } finally {
    await store.close();
    await opened.value.release();
  }
}

/** What the next checkpoint is likely to need, bytes: as much as the newest one there; undefined: nobody knows. */
export async function newestSize(dir: string, settings: FolderSettings): Promise<number | undefined> {
  const opened = await openToRead(dir, settings, unsaid);
  if (!opened.ok) return undefined;
  const { store } = opened.value;
  try {
    const found = await store.inspect({ live: false, budgetMs: 0 });
    if (!found.ok) return undefined;
    const whole = found.value.checkpoints.filter(
      ({ standing }) => standing !== 'corrupt' && standing !== 'partial',
    );
    // one that is written over the last one needs no room besides
    const newest = whole.at(-1);
    return newest?.inPlace ? undefined : newest?.sizeBytes;
  } finally {
    await store.close();
  }
}

/** Said already, or about to be, when the folder is gone back in. */
const unsaid = (): void => undefined;

/** The folders that are meant: those of the configuration, else the one that the last checkpoint lies in. */
export const foldersFor = (
  settings: FolderSettings,
  lastCheckpointPath: string | null | undefined,
): readonly string[] =>
  settings.dirs.length > 0 || typeof lastCheckpointPath !== 'string'
    ? settings.dirs
    : [path.dirname(path.resolve(lastCheckpointPath))];
