import { isGlob } from '../checkpoints/many/glob.js';
import type { Bad } from '../policy/bad.js';
import type { CheckpointFact } from '../policy/checkpoint.js';
import { mono } from '../util/os/boot.js';
import { missingAncestor } from '../util/os/empty-dirs.js';
import { Blocked } from './blocked.js';
import { type RecoveryContext, stepOf } from './context.js';
import type { RecoveryKind } from './decision.js';
import { lackingResources } from './resources.js';
import { foldersFor, newestGood } from './safe-look.js';
import { type Doubted, goToSafeState, type SafeState, wayOut } from './safe-state.js';
import type { RecursiveSettings } from './settings.js';

/** What a training goes back for. */
export interface Wish {
  /** From where on what was saved is not trusted. */
  readonly bad?: Bad;
  /** The checkpoint that it was resumed from may be to blame. */
  readonly doubt?: Pick<Doubted, 'why' | 'last'>;
  /** The numbers went bad: perhaps before it was resumed, if they do so again soon. */
  readonly poisonous?: boolean;
}

/** Where a rollback went to, and in which folders it looked. */
export interface WentTo extends SafeState {
  readonly dirs: readonly string[];
}

/** The checkpoint folders of one training: one rollback at a time. */
export class SafeFolder {
  readonly #settings: Pick<RecursiveSettings, 'folders' | 'rollbackEnabled' | 'signal'>;
  readonly #notice: (text: string) => void;
  #last: Promise<unknown> = Promise.resolve();
  /** From where on what was saved is not trusted, until a rollback has come through. */
  #charge: Bad | undefined;
  /** What was resumed from may be to blame, until a rollback has come through. */
  #doubted: Doubted | undefined;
  /** Where the last checkpoint lay that the context named. */
  #found: readonly string[] = [];
  /** What the last rollback went to, and what was resumed from last. */
  #target: CheckpointFact | undefined;
  #resumed: { readonly checkpoint: CheckpointFact; readonly atMono: number } | undefined;
  /** The furthest good checkpoint that any failure found. */
  #furthest: CheckpointFact | undefined;

  constructor(
    settings: Pick<RecursiveSettings, 'folders' | 'rollbackEnabled' | 'signal'>,
    notice: (text: string) => void,
  ) {
    this.#settings = settings;
    this.#notice = notice;
  }

  /** Whether checkpoints can be looked for. */
  isKnown(context: RecoveryContext): boolean {
    return this.#dirsFor(context).length > 0;
  }

  /** As {@link goBack}; undefined: no folder is known. */
  async goBackIfKnown(context: RecoveryContext, wish: Wish): Promise<WentTo | undefined> {
    if (this.isKnown(context)) return this.goBack(context, wish);
    this.#notice(`nothing is rolled back: ${unknownFolder}`);
    return undefined;
  }

  /**
   * Goes back to what can be trusted, and says so in the context.
   * @throws Blocked where the folder does not let it
   */
  async goBack(context: RecoveryContext, wish: Wish): Promise<WentTo> {
    const turn = this.#last.then(() => this.#goBack(context, wish));
    this.#last = turn.then(ignore, ignore);
    return turn;
  }

  async #goBack(context: RecoveryContext, { bad, doubt, poisonous }: Wish): Promise<WentTo> {
    const dirs = this.#dirsFor(context);
    if (dirs.length === 0) throw new Error(unknownFolder);
    const { folders, rollbackEnabled, signal } = this.#settings;
    this.#charge = bad ?? this.#charge;
    if (doubt && this.#resumed) {
      const andSince = poisonous === true && this.#resumedLately();
      this.#doubted = { ...this.#resumed.checkpoint, ...doubt, andSince };
    }
    const handsOff = folders.dirs.length === 0;
    const hadOne = typeof context.lastCheckpointPath === 'string';
    // an empty folder may wait for its first save; one that is missing after steps were made may be misspelt
    const expected = hadOne || handsOff || (stepOf(context) ?? 0) > 0;
    const away = await missingOf(dirs);
    if (away !== undefined)
      return this.#wentTo(context, {
        ...{ path: null, moved: [], stuck: expected && !folders.allowScratch },
        reason: `the checkpoint folder ${away} is not there; ${wayOut}`,
      });
    const done = await goToSafeState(
      { ...folders, dirs },
      {
        ...{ holder: context.runId ?? 'recovery', rollbackEnabled, handsOff, hadOne },
        ...(this.#charge && { bad: this.#charge }),
        ...(this.#doubted && { doubted: this.#doubted }),
        ...(signal && { signal }),
        notice: this.#notice,
      },
    );
    if (!done.ok) throw Blocked.byFolder(done.error);
    this.#charge = undefined;
    this.#doubted = undefined;
    return this.#wentTo(context, done.value);
  }

  #wentTo(context: RecoveryContext, state: SafeState): WentTo {
    this.#target = state.target;
    // where there were good ones it stays known that there were
    if (!state.stuck) context.lastCheckpointPath = state.path;
    return { ...state, dirs: this.#found };
  }

  /** The training is run now from where the last rollback went to. */
  noteResume(): void {
    this.#resumed = this.#target && { checkpoint: this.#target, atMono: mono() };
  }

  /** Within the time that proves a checkpoint good. */
  #resumedLately(): boolean {
    const { provenAfterMs } = this.#settings.folders;
    return this.#resumed !== undefined && mono() - this.#resumed.atMono < provenAfterMs;
  }

  /**
   * Whether a newer good checkpoint is there than at any failure before; undefined: no folder is known.
   * @param first there was no failure before
   */
  async gotFurther(
    context: RecoveryContext,
    { bad, poisonous }: Wish,
    first: boolean,
  ): Promise<boolean | undefined> {
    const { folders, signal } = this.#settings;
    const dirs = this.#dirsFor(context);
    if (dirs.length === 0) return undefined;
    // what was saved since may hold the bad numbers that it was resumed with
    if (poisonous && this.#resumedLately()) return false;
    const wanted = { past: this.#furthest, bad, proven: !first, ...(signal && { signal }) };
    const newest = await newestGood(folders, dirs, wanted);
    this.#furthest = newest ?? this.#furthest;
    return newest !== undefined && !first;
  }

  /** What was resumed from, and how far the training got, says nothing about what comes. */
  forget(): void {
    this.#target = undefined;
    this.#resumed = undefined;
    this.#doubted = undefined;
    this.#furthest = undefined;
  }

  /** @throws Blocked where the machine lacks what another attempt needs */
  async checkRoom(context: RecoveryContext, after: RecoveryKind): Promise<void> {
    const lack = await lackingResources(this.#settings.folders, this.#dirsFor(context), after);
    if (lack)
      throw Blocked.lacking({ kind: lack.about === 'memory' ? 'host-memory' : 'storage', words: lack.words });
  }

  #dirsFor({ lastCheckpointPath }: RecoveryContext): readonly string[] {
    const dirs = foldersFor(this.#settings.folders, lastCheckpointPath);
    // once nothing can be resumed from, the context names none any more
    if (dirs.length > 0) this.#found = dirs;
    return this.#found;
  }
}

const ignore = (): void => undefined;

/** The folders, if none of them is there: none is made for a question. */
async function missingOf(dirs: readonly string[]): Promise<string | undefined> {
  for (const dir of dirs) {
    // what a glob matches, or lies on another machine, is told by who opens it
    if (isGlob(dir) || dir.includes('://') || (await missingAncestor(dir)) === undefined) return undefined;
  }
  return dirs.join(', ');
}

const unknownFolder =
  'no checkpoint folder is known; name it in checkpoints.dir, or give lastCheckpointPath in the context';
